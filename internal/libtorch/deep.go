package libtorch

import (
	"bytes"
	"context"
	"embed"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// probe is a module of one Go and one C++ file that uses libtorch the way ours do, but not gotch: it compiles in seconds.
//
//go:embed probe
var probe embed.FS

// examineLink compiles, links and runs the probe with the installation's flags.
func (d *doctor) examineLink(ctx context.Context) {
	if d.manifest == nil || d.compiler.Major == 0 {
		return
	}
	out, err := runProbe(ctx, d.settings.tool, d.manifest.Flags(d.compiler))
	if !d.judge("link", err, "a program compiles, links and runs") {
		return
	}
	for line := range strings.Lines(out) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch name {
		case "version":
			d.Checks[len(d.Checks)-1].Found += " with libtorch " + value
		case "runtimes":
			if n := len(strings.Fields(value)); n > 1 {
				d.judge("runtimes", &Problem{Kind: ErrBuild, Detail: "two OpenMP runtimes are loaded: " + value, Fix: "unset LD_PRELOAD"}, "")
			} else {
				d.add("runtimes", OK, "one OpenMP runtime: %s", value)
			}
		case "threads":
			d.add("cores", Info, "libtorch computes on %s threads (OMP_NUM_THREADS sets another number)", value)
		case "cuda":
			if d.manifest.CUDA && value == "0" {
				d.judge("devices", &Problem{Kind: ErrDriver, Detail: "libtorch itself sees no CUDA device", Fix: "nvidia-smi        (says what the driver sees)"}, "")
			} else if d.manifest.CUDA {
				d.add("devices", OK, "libtorch sees %s", value)
			}
		}
	}
}

func runProbe(ctx context.Context, tool string, flags Flags) (string, error) {
	dir, err := os.MkdirTemp("", "libtorch-doctor-*")
	if err != nil {
		return "", diskProblem(err)
	}
	defer os.RemoveAll(dir)
	err = fs.WalkDir(probe, "probe", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := probe.ReadFile(path)
		if err != nil {
			return err
		}
		// The names end in .txt so that Go does not take the folder for a package of ours.
		return os.WriteFile(filepath.Join(dir, strings.TrimSuffix(filepath.Base(path), ".txt")), text, 0o644)
	})
	if err != nil {
		return "", diskProblem(err)
	}
	cmd := exec.CommandContext(ctx, tool, "build", "-o", "probe", ".")
	cmd.Dir, cmd.Env = dir, append(flags.environ(), "GOWORK=off", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		p := explainBuild("a small program", string(out), err)
		if known := p.(*Problem); known.Kind == ErrBuild {
			known.Fix = Command + " uninstall && " + Command + " install --persist"
		}
		return "", p
	}
	var stderr bytes.Buffer
	cmd = exec.CommandContext(ctx, filepath.Join(dir, "probe"))
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", &Problem{Kind: ErrBuild, Detail: "a small program links but does not run", Err: fmt.Errorf("%w\n%s", err, indent(tail(stderr.String(), 10))),
			Fix: Command + " uninstall && " + Command + " install --persist"}
	}
	return string(out), nil
}
