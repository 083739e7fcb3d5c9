package libtorch

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// Oldest compilers: c10/util/C++17.h stops with an error below these.
const (
	oldestGCC   = 9
	oldestClang = 9
)

// oldestGlibc is what the wheels' platform tag, manylinux_2_28, promises to need at most.
var oldestGlibc = [2]int{2, 28}

// goSettings are the parts of `go env` that matter here.
type goSettings struct {
	GOVERSION, GOENV, GOCACHE, CXX, CGO_ENABLED, CGO_CXXFLAGS, CGO_LDFLAGS string

	tool string // the go command
}

// goTool finds the go command: on the PATH, or where GOROOT says.
func goTool() (string, error) {
	if path, err := exec.LookPath("go"); err == nil {
		return path, nil
	}
	if root := os.Getenv("GOROOT"); root != "" && exists(filepath.Join(root, "bin", "go")) {
		return filepath.Join(root, "bin", "go"), nil
	}
	return "", &Problem{Kind: ErrNoGo, Detail: "no go command on the PATH", Fix: "export PATH=$PATH:/usr/local/go/bin"}
}

func readGoSettings(ctx context.Context) (goSettings, error) {
	var s goSettings
	tool, err := goTool()
	if err != nil {
		return s, err
	}
	out, err := exec.CommandContext(ctx, tool, "env", "-json", "GOVERSION", "GOENV", "GOCACHE", "CXX", "CGO_ENABLED",
		"CGO_CXXFLAGS", "CGO_LDFLAGS").Output()
	if err == nil {
		err = json.Unmarshal(out, &s)
	}
	if err != nil {
		return s, &Problem{Kind: ErrNoGo, Detail: tool + " env fails", Err: withOutput(err), Fix: "put right what it names, in the environment or in the file that `go env GOENV` prints"}
	}
	s.tool = tool
	return s, nil
}

// Compiler is what CXX turned out to be.
type Compiler struct {
	Command []string // CXX, which may hold arguments or a wrapper
	Clang   bool
	Major   int
}

func (c Compiler) String() string {
	if c.Clang {
		return fmt.Sprintf("clang++ %d", c.Major)
	}
	return fmt.Sprintf("g++ %d", c.Major)
}

var predefined = regexp.MustCompile(`(?m)^#define (__GNUC__|__clang_major__) (\d+)`)

const installCompiler = "sudo apt-get install g++        (Debian, Ubuntu)\nsudo dnf install gcc-c++        (Fedora, RHEL; older RHEL: gcc-toolset-13, then scl enable gcc-toolset-13 bash)\nor name another one: go env -w CXX=/path/to/g++"

// FindCompiler finds the compiler that Go would run and checks that libtorch's headers compile with it.
func FindCompiler(ctx context.Context) (Compiler, error) {
	s, err := readGoSettings(ctx)
	if err != nil {
		return Compiler{}, err
	}
	return s.compiler(ctx)
}

func (s goSettings) compiler(ctx context.Context) (Compiler, error) { return findCompiler(ctx, s.CXX) }

// findCompiler asks the compiler for its own version, whatever it is called.
func findCompiler(ctx context.Context, cxx string) (Compiler, error) {
	command, err := splitFlags(cxx)
	if err != nil || len(command) == 0 {
		command = []string{"g++"}
	}
	if _, err := exec.LookPath(command[0]); err != nil {
		return Compiler{}, &Problem{Kind: ErrNoCompiler, Detail: fmt.Sprintf("Go would run %s, which is not there", command[0]), Fix: installCompiler}
	}
	args := append(append([]string{}, command[1:]...), "-dM", "-E", "-x", "c++", os.DevNull)
	out, err := exec.CommandContext(ctx, command[0], args...).Output()
	if err != nil {
		return Compiler{}, &Problem{Kind: ErrNoCompiler, Detail: fmt.Sprintf("%s does not run as a C++ compiler", strings.Join(command, " ")), Err: withOutput(err), Fix: installCompiler}
	}
	c := Compiler{Command: command}
	for _, m := range predefined.FindAllSubmatch(out, -1) {
		n, _ := strconv.Atoi(string(m[2]))
		switch string(m[1]) {
		case "__clang_major__":
			c.Clang, c.Major = true, n
		case "__GNUC__": // clang defines it too, as 4
			if !c.Clang {
				c.Major = n
			}
		}
	}
	if oldest := map[bool]int{false: oldestGCC, true: oldestClang}[c.Clang]; c.Major < oldest {
		return c, &Problem{Kind: ErrOldCompiler, Detail: fmt.Sprintf("%s is %v; libtorch's headers want g++ %d or clang++ %d, or later", command[0], c, oldestGCC, oldestClang), Fix: installCompiler}
	}
	return c, nil
}

// withOutput adds what a command wrote to standard error.
func withOutput(err error) error {
	if e, ok := err.(*exec.ExitError); ok && len(e.Stderr) > 0 {
		return fmt.Errorf("%w: %s", err, excerpt(string(e.Stderr)))
	}
	return err
}

// excerpt is the first and the last lines of a message that hold anything: a cause may stand in either.
func excerpt(s string) string {
	lines := strings.Split(tail(s, 1<<20), "\n")
	if len(lines) > 12 {
		lines = append(append(lines[:4:4], fmt.Sprintf("… %d lines …", len(lines)-10)), lines[len(lines)-6:]...)
	}
	return strings.Join(lines, "\n")
}

// tail is the last n lines that hold anything.
func tail(s string, n int) string {
	var lines []string
	for line := range strings.Lines(s) {
		if line = strings.TrimRight(line, "\r\n "); line != "" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// checkPlatform knows what there are libtorch packages and link rules for.
func checkPlatform(goos, arch string) error {
	if goos == "linux" && pinned[arch] != nil {
		return nil
	}
	fix := "use linux/amd64 or linux/arm64"
	switch goos {
	case "darwin":
		fix = "on a Mac, work in a Linux container or virtual machine (linux/arm64 runs at full speed on Apple silicon)"
	case "windows":
		fix = "on Windows, work in WSL 2: wsl --install"
	}
	return &Problem{Kind: ErrPlatform, Detail: fmt.Sprintf("this is %s/%s; installing is written for linux/amd64 and linux/arm64", goos, arch), Fix: fix}
}

var glibcVersion = regexp.MustCompile(`\b(\d+)\.(\d+)\b`)

// checkGlibc asks the C library for its version and compares it with what is wanted; a musl system has none.
func checkGlibc(ctx context.Context, want [2]int) (string, error) {
	out, err := exec.CommandContext(ctx, "getconf", "GNU_LIBC_VERSION").Output()
	if err != nil {
		if out, err = exec.CommandContext(ctx, "ldd", "--version").CombinedOutput(); err != nil || strings.Contains(string(out), "musl") {
			return "", &Problem{Kind: ErrGlibc, Detail: "this system has no GNU C library (musl?); libtorch's packages need one",
				Fix: "use a distribution with glibc: Debian 10, Ubuntu 20.04, Fedora 29, RHEL 8 or later"}
		}
	}
	m := glibcVersion.FindStringSubmatch(string(out))
	if m == nil {
		return "unknown", nil // the link test says more
	}
	major, _ := strconv.Atoi(m[1])
	minor, _ := strconv.Atoi(m[2])
	if major < want[0] || major == want[0] && minor < want[1] {
		return m[0], &Problem{Kind: ErrGlibc, Detail: fmt.Sprintf("glibc is %s; this libtorch wants %d.%d or later", m[0], want[0], want[1]),
			Fix: "use a newer distribution: Debian 10, Ubuntu 20.04, Fedora 29, RHEL 8 or later\nor build libtorch on this one and name it: LIBTORCH=/path " + Command + " install"}
	}
	return m[0], nil
}
