package libtorch

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// gotch is the package whose C++ takes minutes to compile.
const gotch = "github.com/sugarme/gotch/libtch"

// Build compiles gotch once with m's flags, so that the minutes it takes are spent now and not in the first `go build`.
// It needs a module that requires gotch in the working directory; elsewhere it says so and does nothing. A second call
// with the same compiler, flags and build cache does nothing.
func Build(ctx context.Context, m *Manifest, out io.Writer) error {
	settings, err := readGoSettings(ctx)
	if err != nil {
		return err
	}
	c, err := settings.compiler(ctx)
	if err != nil {
		return err
	}
	flags := m.Flags(c)
	key := buildKey(settings, c, flags)
	if m.built(key) {
		return nil
	}
	p := newProgress(out)
	if exec.CommandContext(ctx, settings.tool, "list", gotch).Run() != nil {
		p.say("gotch is not compiled now: no module here requires it. The first `go build` of one that does takes minutes, once.")
		return nil
	}
	p.say("compiling gotch's C++: one to four minutes and 2.4 GB of memory, once; later builds take it from Go's cache")
	cmd := exec.CommandContext(ctx, settings.tool, "build", gotch)
	cmd.Env = flags.environ()
	stop := p.wait("  compiling")
	text, err := cmd.CombinedOutput()
	stop()
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return explainBuild("go build "+gotch, string(text), err)
	}
	return writeFile(filepath.Join(m.prefix, "built.json"), key)
}

// buildKey is what Go's build cache would look gotch up by, as far as it changes on one machine.
func buildKey(s goSettings, c Compiler, f Flags) []byte {
	key := f.Values()
	maps.Copy(key, map[string]string{"GOVERSION": s.GOVERSION, "GOCACHE": s.GOCACHE, "CXX": c.String() + " " + s.CXX})
	text, _ := json.Marshal(key) // strings always marshal, in the order of their keys
	return text
}

// built reports whether gotch was compiled under that key, in a cache that is still there.
func (m *Manifest) built(key []byte) bool {
	text, err := os.ReadFile(filepath.Join(m.prefix, "built.json"))
	if err != nil || string(text) != string(key) {
		return false
	}
	var k map[string]string
	return json.Unmarshal(text, &k) == nil && isDir(k["GOCACHE"])
}

// environ is the process's environment with the flags in force.
func (f Flags) environ() []string {
	env := append(os.Environ(), "CGO_ENABLED=1")
	for name, value := range f.Values() {
		env = append(env, name+"="+value)
	}
	return env
}

var outOfMemory = regexp.MustCompile(`(?i)killed signal|cannot allocate memory|virtual memory exhausted|out of memory`)

// explainBuild tells a machine too small from a set-up that is wrong.
func explainBuild(what, output string, err error) error {
	p := &Problem{Kind: ErrBuild, Detail: what, Err: fmt.Errorf("%w\n%s", err, indent(excerpt(output))), Fix: Command + " doctor --deep"}
	switch {
	case outOfMemory.MatchString(output):
		p.Kind, p.Fix = ErrNoMemory, "close other programs, or add swap: gotch's one C++ file takes 2.4 GB to compile; then "+Command+" install"
	case strings.Contains(output, "No space left on device"):
		p.Kind, p.Fix = ErrDiskFull, "free some space on the disk of Go's build cache: go env GOCACHE"
	}
	return p
}
