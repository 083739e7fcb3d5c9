package libtorch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// oldestPip is the first that takes several --platform options.
var oldestPip = [2]int{20, 3}

// pip is a command that runs pip; pip knows the user's index, mirror, proxy and certificates, so that this tool need not.
type pip struct {
	Command []string
	Version string
}

var pipCommands = [][]string{{"python3", "-m", "pip"}, {"python", "-m", "pip"}, {"pip3"}, {"pip"}, {"uvx", "pip"}}

var pipVersion = regexp.MustCompile(`^pip (\d+)\.(\d+)\S*`)

const noPipFix = "sudo apt-get install python3-pip        (Debian, Ubuntu)\nsudo dnf install python3-pip            (Fedora, RHEL)\npython3 -m ensurepip --user             (any Python)\nor without pip: " + Command + " install --from libtorch.zip (a file or address; see docs/setup.md)"

// findPip takes the first command that runs and is new enough.
func findPip(ctx context.Context) (pip, error) {
	var old *Problem
	for _, command := range pipCommands {
		out, err := exec.CommandContext(ctx, command[0], append(command[1:len(command):len(command)], "--version")...).Output()
		m := pipVersion.FindStringSubmatch(string(out))
		if err != nil || m == nil {
			continue
		}
		major, _ := strconv.Atoi(m[1])
		minor, _ := strconv.Atoi(m[2])
		if major > oldestPip[0] || major == oldestPip[0] && minor >= oldestPip[1] {
			return pip{command, m[0]}, nil
		}
		old = &Problem{Kind: ErrOldPip, Detail: fmt.Sprintf("%s is %s; want %d.%d or later", strings.Join(command, " "), m[0], oldestPip[0], oldestPip[1]),
			Fix: strings.Join(command, " ") + " install --user --upgrade pip"}
	}
	if old != nil {
		return pip{}, old
	}
	return pip{}, &Problem{Kind: ErrNoPip, Detail: "none of python3 -m pip, pip3, pip and uvx pip runs", Fix: noPipFix}
}

var machineTags = map[string]string{"amd64": "x86_64", "arm64": "aarch64"}

// download fetches one wheel into dir and returns its path. The temporary files lie in dir too, so that its growth is
// the progress and nothing is left elsewhere.
func (p pip) download(ctx context.Context, w wheel, arch, dir string) (string, error) {
	if err := makeDir(dir); err != nil {
		return "", err
	}
	requirements := filepath.Join(dir, "requirements.txt")
	if err := writeFile(requirements, fmt.Appendf(nil, "%s==%s --hash=sha256:%s\n", w.Name, w.Version, w.SHA256)); err != nil {
		return "", err
	}
	args := append(p.Command[1:len(p.Command):len(p.Command)], "download", "--require-hashes", "-r", requirements, "-d", dir,
		"--no-deps", "--only-binary=:all:", "--no-cache-dir", "--progress-bar", "off", "--disable-pip-version-check", "--no-input",
		"--implementation", "cp", "--python-version", pythonTag, "--abi", "cp"+pythonTag, "--abi", "abi3", "--abi", "none")
	for _, tag := range platformTags(machineTags[arch]) {
		args = append(args, "--platform", tag)
	}
	log, err := p.run(ctx, dir, args)
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	if err != nil {
		failure := p.explain(w, log, err)
		if errors.Is(failure, ErrNotOnIndex) {
			// pip says so too where it could not read the index, and names the cause only when asked to be verbose.
			if causes := fetchFailures(p.run(ctx, dir, append(args, "-vv", "--retries", "0"))); causes != "" {
				failure = p.explain(w, causes, err)
			}
		}
		return "", failure
	}
	found, _ := filepath.Glob(filepath.Join(dir, "*.whl"))
	if len(found) != 1 {
		return "", &Problem{Kind: ErrDownload, Detail: fmt.Sprintf("pip ended well but left %d wheels in %s; want 1", len(found), dir), Fix: Command + " install"}
	}
	return found[0], nil
}

// run runs pip with its temporary files in dir and returns what it wrote.
func (p pip) run(ctx context.Context, dir string, args []string) (log string, err error) {
	var b bytes.Buffer
	cmd := exec.CommandContext(ctx, p.Command[0], args...)
	cmd.Stdout, cmd.Stderr = &b, &b
	cmd.Env = append(os.Environ(), "TMPDIR="+dir, "PYTHONUNBUFFERED=1", "LC_ALL=C.UTF-8")
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	err = cmd.Run()
	return b.String(), err
}

// fetchFailures picks the lines of a verbose log that tell why a page of the index could not be read.
func fetchFailures(log string, _ error) string {
	var b strings.Builder
	for line := range strings.Lines(log) {
		if strings.Contains(line, "Could not fetch URL") {
			b.WriteString(strings.TrimSpace(line) + "\n")
		}
	}
	return b.String()
}

// platformTags are the tags under which the pinned wheels are published.
func platformTags(machine string) []string {
	tags := []string{"manylinux1_" + machine, "manylinux2010_" + machine, "manylinux2014_" + machine}
	for minor := oldestGlibc[1]; minor >= 5; minor-- {
		tags = append(tags, fmt.Sprintf("manylinux_2_%d_%s", minor, machine))
	}
	return tags
}

// pipFailures maps what pip prints to what it means; the first that matches counts, so causes come before consequences.
var pipFailures = []struct {
	pattern *regexp.Regexp
	kind    error
	detail  string
	fix     string
}{
	{regexp.MustCompile(`(?i)no space left on device|disk quota exceeded`), ErrDiskFull, "pip ran out of space",
		"free some space and repeat: what was downloaded is kept\nor install elsewhere: FINETUNE_LIBTORCH=/bigger/disk " + Command + " install"},
	{regexp.MustCompile(`(?i)do not match the hashes|hashes are required|Expected sha256`), ErrHash, "the index served another file than the one this version was tested with",
		"ask who runs the index or mirror; or take an archive you trust: " + Command + " install --from FILE"},
	{regexp.MustCompile(`(?i)certificate_verify_failed|certificate verify failed|SSLError|SSLCertVerificationError`), ErrCertificate, "the index's certificate, or that of a proxy in between, is not among those pip trusts",
		"pip config set global.cert /path/to/your/organisation's-ca.pem"},
	{regexp.MustCompile(`(?i)ProxyError|Tunnel connection failed|407 Proxy|Cannot connect to proxy|InvalidProxyURL`), ErrProxy, "pip could not get through the proxy it is told to use",
		"check HTTPS_PROXY and `pip config list`; set the right one with: pip config set global.proxy http://user:password@host:port"},
	{regexp.MustCompile(`(?i)\b(401|403)\b.{0,40}(Unauthorized|Forbidden)|HTTP error (401|403)|(401|403) (Client )?Error|not authorized|Credentials not correct`), ErrRefused, "the index wants credentials, or does not allow this download",
		"check `pip config list`; set the right index with: pip config set global.index-url ADDRESS"},
	{regexp.MustCompile(`(?i)name or service not known|temporary failure in name resolution|nodename nor servname|NewConnectionError|connection refused|network is unreachable|ConnectTimeout|ReadTimeout|Read timed out|Connection aborted|ConnectionResetError|Max retries exceeded`), ErrNoNetwork, "pip got no answer",
		"check the network, then repeat; a mirror is set with: pip config set global.index-url ADDRESS\nwithout a network: " + Command + " install --from FILE (see docs/setup.md)"},
	{regexp.MustCompile(`(?i)no matching distribution|could not find a version`), ErrNotOnIndex, "the index that pip uses does not carry this file",
		"check `pip config list` for a private index or for no-index; or take an archive: " + Command + " install --from FILE"},
	{regexp.MustCompile(`(?i)no such option`), ErrOldPip, "pip does not know an option it is given", "python3 -m pip install --user --upgrade pip"},
}

var userInfo = regexp.MustCompile(`(://)[^/@\s]+@`)

// explain turns pip's output into a Problem; passwords in addresses are left out.
func (p pip) explain(w wheel, log string, err error) error {
	log = userInfo.ReplaceAllString(log, "${1}***@")
	problem := &Problem{Kind: ErrDownload, Detail: "pip failed", Fix: Command + " install        (what was downloaded is kept)"}
	for _, f := range pipFailures {
		if f.pattern.MatchString(log) {
			problem.Kind, problem.Detail, problem.Fix = f.kind, f.detail, f.fix
			break
		}
	}
	problem.Detail += fmt.Sprintf(" (%s download %s==%s)", strings.Join(p.Command, " "), w.Name, w.Version)
	problem.Err = fmt.Errorf("%w; it wrote:\n%s", err, indent(tail(log, 6)))
	return problem
}

func indent(s string) string { return "    " + strings.ReplaceAll(s, "\n", "\n    ") }
