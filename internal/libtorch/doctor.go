package libtorch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// Verdict is what a check came to.
type Verdict string

// Only Fail makes doctor fail: Warn is what does not stand in the way today, Info states a fact.
const (
	OK   Verdict = "ok"
	Info Verdict = "info"
	Warn Verdict = "warn"
	Fail Verdict = "fail"
)

// Check is one line of doctor's table.
type Check struct {
	Name    string  `json:"name"`
	Verdict Verdict `json:"verdict"`
	Found   string  `json:"found"`
	Fix     string  `json:"fix,omitempty"` // the commands that mend it, one a line
}

// Report is everything doctor found.
type Report struct {
	Checks []Check `json:"checks"`
	Passed bool    `json:"passed"` // none failed
}

// doctor is one examination.
type doctor struct {
	Report
	root     string
	settings goSettings
	compiler Compiler
	manifest *Manifest
}

// Doctor examines the machine and the installation below root ("" means Root()). deep compiles, links and runs a small
// program too, which takes some 20 seconds. It changes nothing.
func Doctor(ctx context.Context, root string, deep bool) (Report, error) {
	if root == "" {
		var err error
		if root, err = Root(); err != nil {
			return Report{}, err
		}
	}
	d := &doctor{root: root}
	d.examineMachine(ctx)
	d.examineInstallation(ctx)
	d.examineFlags()
	d.examineGPU(ctx)
	if deep {
		d.examineLink(ctx)
	}
	d.Passed = !slices.ContainsFunc(d.Checks, func(c Check) bool { return c.Verdict == Fail })
	return d.Report, ctx.Err()
}

func (d *doctor) add(name string, v Verdict, format string, args ...any) {
	d.Checks = append(d.Checks, Check{Name: name, Verdict: v, Found: fmt.Sprintf(format, args...)})
}

// judge adds a check that failed with err, or passed with what was found.
func (d *doctor) judge(name string, err error, found string) bool {
	return d.judgeAs(Fail, name, err, found)
}

func (d *doctor) judgeAs(v Verdict, name string, err error, found string) bool {
	if err == nil {
		d.add(name, OK, "%s", found)
		return true
	}
	c := Check{Name: name, Verdict: v, Found: err.Error()}
	var p *Problem
	if errors.As(err, &p) {
		c.Fix, c.Found = p.Fix, p.summary()
	}
	d.Checks = append(d.Checks, c)
	return false
}

func (d *doctor) examineMachine(ctx context.Context) {
	d.judge("platform", checkPlatform(runtime.GOOS, runtime.GOARCH), runtime.GOOS+"/"+runtime.GOARCH)
	var err error
	d.settings, err = readGoSettings(ctx)
	if !d.judge("go", err, d.settings.GOVERSION) {
		return
	}
	d.compiler, err = d.settings.compiler(ctx)
	d.judge("compiler", err, fmt.Sprintf("%v (%s)", d.compiler, d.settings.CXX))
	if d.settings.CGO_ENABLED != "1" {
		err = &Problem{Kind: ErrCgoOff, Detail: "CGO_ENABLED=" + d.settings.CGO_ENABLED, Fix: cgoFix()}
		d.judge("cgo", err, "")
	} else {
		d.judge("cgo", nil, "CGO_ENABLED=1")
	}
	version, err := checkGlibc(ctx, oldestGlibc)
	d.judge("glibc", err, version)
}

// cgoFix depends on who switched it off.
func cgoFix() string {
	if os.Getenv("CGO_ENABLED") != "" {
		return "unset CGO_ENABLED"
	}
	return "go env -u CGO_ENABLED        (Go also switches cgo off where it finds no C compiler: see the line above)"
}

func (d *doctor) examineInstallation(ctx context.Context) {
	var err error
	d.manifest, err = Current(d.root)
	if !d.judge("installed", err, "") {
		d.manifest = nil
		d.examineMeans(ctx) // what installing would need
		return
	}
	m := d.manifest
	last := &d.Checks[len(d.Checks)-1]
	last.Found = fmt.Sprintf("libtorch %s, from %s, in %s", m.Version, m.source(), m.prefix)
	t, err := inspect(place{m.path(m.Include[0]), m.path(m.LibDirs[0])}, runtime.GOARCH)
	if err == nil && t.Version != m.Version {
		err = &Problem{Kind: ErrDamaged, Detail: fmt.Sprintf("it is version %s now; it was %s when it was installed", t.Version, m.Version), Fix: Command + " install --persist"}
	}
	if !d.judge("libtorch", err, fmt.Sprintf("version %s, %s, C++11 ABI", t.Version, runtime.GOARCH)) {
		return
	}
	switch {
	case m.OpenMP == "":
		d.add("threads", Warn, "libtorch names no OpenMP runtime: our own kernels run on one thread")
	case d.compiler.Clang:
		d.add("threads", Warn, "with clang++ our own kernels run on one thread, as its OpenMP would be a second one beside libtorch's")
		d.Checks[len(d.Checks)-1].Fix = "go env -w CXX=g++ && " + Command + " install --persist"
	default:
		d.add("threads", OK, "%s, libtorch's own", filepath.Base(m.OpenMP))
	}
}

// source says in a few words where a libtorch came from.
func (m *Manifest) source() string {
	switch m.Source {
	case FromIndex:
		return "the package index"
	case FromEnv:
		return "LIBTORCH=" + m.Origin
	}
	return m.Source + " " + m.Origin
}

// examineMeans looks for what a download needs.
func (d *doctor) examineMeans(ctx context.Context) {
	tool, err := findPip(ctx)
	d.judge("pip", err, fmt.Sprintf("%s (%s)", tool.Version, strings.Join(tool.Command, " ")))
	var need int64
	for _, w := range pinned[runtime.GOARCH] {
		if !w.CUDA {
			need += w.Size * unpackedPerByte
		}
	}
	free, err := freeSpace(existingParent(d.root))
	if err == nil {
		err = needSpace(d.root, need)
	}
	d.judge("disk", err, megabytes(free)+" free")
}

// examineFlags compares the flags Go would use here and now with those of the installation.
func (d *doctor) examineFlags() {
	if d.manifest == nil || d.compiler.Major == 0 {
		return
	}
	ours := d.manifest.Flags(d.compiler).Values()
	persisted, _ := readGoEnv(d.settings.GOENV)
	for _, name := range flagVariables {
		inForce := map[string]string{"CGO_CXXFLAGS": d.settings.CGO_CXXFLAGS, "CGO_LDFLAGS": d.settings.CGO_LDFLAGS}[name]
		inEnv := os.Getenv(name) != ""
		switch {
		case strings.Contains(inForce, ours[name]) && inEnv:
			d.add(name, OK, "in this environment")
		case strings.Contains(inForce, ours[name]):
			d.add(name, OK, "persisted in %s", d.settings.GOENV)
		case inEnv && strings.Contains(persisted[name], ours[name]):
			d.judge(name, &Problem{Kind: ErrNotPersisted, Detail: "the environment sets other ones, which hide the persisted", Fix: "unset " + name}, "")
		case inEnv:
			d.judge(name, &Problem{Kind: ErrNotPersisted, Detail: "the environment sets other ones", Fix: "eval \"$(" + Command + " env)\""}, "")
		default:
			d.judge(name, &Problem{Kind: ErrNotPersisted, Detail: "Go does not know them", Fix: Command + " env --persist\nor in this shell only: eval \"$(" + Command + " env)\""}, "")
		}
	}
}

// Write prints the table: a line a check, and under one that is not well the commands that mend it.
func (r Report) Write(w io.Writer) error {
	width := 0
	for _, c := range r.Checks {
		width = max(width, len(c.Name))
	}
	var b strings.Builder
	failed := 0
	for _, c := range r.Checks {
		fmt.Fprintf(&b, "%-4s  %-*s  %s\n", c.Verdict, width, c.Name, strings.ReplaceAll(c.Found, "\n", "\n"+strings.Repeat(" ", width+8)))
		for line := range strings.Lines(c.Fix) {
			fmt.Fprintf(&b, "%*s→ %s\n", width+8, "", strings.TrimRight(line, "\n"))
		}
		if c.Verdict == Fail {
			failed++
		}
	}
	if failed == 0 {
		b.WriteString("\nall well\n")
	} else {
		fmt.Fprintf(&b, "\n%d of %d checks failed; the lines with → mend them, from the top\n", failed, len(r.Checks))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// WriteJSON prints the report for a program.
func (r Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(r)
}
