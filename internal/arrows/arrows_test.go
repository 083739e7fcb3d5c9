// Package arrows holds the imports of the whole module in place: they point down, and only one package talks to libtorch.
package arrows

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const module = "github.com/gofinetune/finetune"

// layers lists folders from the bottom up. A folder stands for the packages below it, unless a longer name is listed too. A
// package may import folders of lower layers, and its own folder.
var layers = [][]string{
	{"internal/torch", "internal/safetensors", "internal/libtorch", "internal/table", "internal/testdata", "internal/gotest", "internal/logistic", "tokenizer", "model/arch",
		"train/schedule", "train/observe"},
	{"data", "memory", "internal/golden"},
	{"model", "mixer"},
	{"lora", "plan"},
	{"train"},
	{"train/rollout"},
	{"internal/fixture"},
	{"pretrain", "sft", "rm", "dpo", "ppo", "grpo", "eval"}, // the stages
	{"cmd", "examples", "bench"},
}

// pure folders build without cgo, so that data are cleaned and memory is estimated on machines that have no libtorch.
var pure = []string{"cmd/libtorch", "data", "internal/golden", "internal/gotest", "internal/libtorch", "internal/logistic", "internal/safetensors",
	"internal/table", "internal/testdata", "memory", "mixer", "model/arch", "plan", "tokenizer", "train/observe", "train/schedule"}

// forTests are packages that only tests may import.
var forTests = []string{"internal/fixture", "internal/golden", "internal/testdata"}

const gotch = "github.com/sugarme/gotch"

// info is what `go list` says of a package.
type info struct {
	ImportPath                               string
	Imports, TestImports, XTestImports, Deps []string
}

// folder is the package's path inside the module.
func (p info) folder() string {
	return strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
}

func (p info) tests() []string { return append(p.TestImports, p.XTestImports...) }

func TestImportsPointDown(t *testing.T) {
	for _, p := range packages(t) {
		own, layer := place(p.folder())
		if own == "" {
			if len(p.Imports) > 0 && !strings.HasPrefix(p.folder(), "internal/") {
				t.Errorf("%s stands in no layer; add its folder to layers in this test", p.folder())
			}
			continue
		}
		for _, i := range ours(p.Imports) {
			folder, below := place(i)
			switch {
			case folder == own || below < layer:
			case below == layer:
				t.Errorf("%s imports %s: they stand in one layer, and neither may know the other", p.folder(), i)
			default:
				t.Errorf("%s imports %s, which stands above it", p.folder(), i)
			}
		}
	}
}

func TestStagesAreIndependent(t *testing.T) {
	stages := layers[len(layers)-2]
	require.Contains(t, stages, "sft")
	for _, p := range packages(t) {
		own, _ := place(p.folder())
		if !slices.Contains(stages, own) {
			continue
		}
		for _, i := range ours(append(p.Deps, p.tests()...)) {
			if folder, _ := place(i); folder != own && slices.Contains(stages, folder) {
				t.Errorf("%s reaches the stage %s; what two stages share belongs in train", p.folder(), i)
			}
		}
	}
}

func TestPurePackagesReachNoLibtorch(t *testing.T) {
	all := packages(t)
	cgo := map[string]bool{}
	for _, p := range all {
		cgo[p.ImportPath] = slices.Contains(p.Imports, "C")
	}
	reaches := map[string][]string{} // of the module's packages
	for _, p := range all {
		reaches[p.ImportPath] = append(p.Deps, p.ImportPath)
	}
	seen := 0
	for _, p := range all {
		if !under(pure, p.folder()) {
			continue
		}
		seen++
		deps := reaches[p.ImportPath]
		for _, i := range p.tests() { // tests too: they run where libtorch is not
			deps = append(append(deps, i), reaches[i]...)
		}
		for _, d := range deps {
			if strings.HasPrefix(d, gotch) || cgo[d] {
				t.Errorf("%s reaches %s, and so needs libtorch", p.folder(), d)
			}
		}
	}
	assert.Greater(t, seen, 10, "pure packages found")
}

func TestOnlyInternalTorchTalksToLibtorch(t *testing.T) {
	for _, p := range packages(t) {
		if p.folder() == "internal/torch" {
			assert.Contains(t, p.Imports, gotch+"/libtch")
			continue
		}
		for _, i := range append(p.Imports, p.tests()...) {
			if i == "C" || i == gotch+"/libtch" {
				t.Errorf("%s imports %q; only internal/torch may", p.folder(), i)
			}
		}
	}
}

func TestTestHelpersStayInTests(t *testing.T) {
	for _, p := range packages(t) {
		for _, i := range ours(p.Imports) {
			if slices.Contains(forTests, i) && !slices.Contains(forTests, p.folder()) {
				t.Errorf("%s imports %s outside its tests", p.folder(), i)
			}
		}
	}
}

// The Makefile vets the pure packages without cgo: its list and ours are one.
func TestMakefileVetsThePurePackages(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root(t), "Makefile"))
	require.NoError(t, err)
	_, list, found := strings.Cut(string(text), "\nPURE := ")
	require.True(t, found, "the Makefile has no line PURE := …")
	list, _, _ = strings.Cut(strings.ReplaceAll(list, "\\\n", " "), "\n")
	var want []string
	for _, folder := range pure {
		if _, err := os.Stat(filepath.Join(root(t), folder)); err == nil {
			want = append(want, strings.Replace("./"+folder+"/...", "testdata/...", "testdata", 1))
		}
	}
	assert.Equal(t, want, strings.Fields(list))
}

// packages lists the module's packages, with cgo, on any machine: nothing is compiled.
func packages(t *testing.T) []info {
	t.Helper()
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Imports,TestImports,XTestImports,Deps", "./...", "./internal/testdata") // ./... leaves out folders of that name
	cmd.Dir, cmd.Env = root(t), append(os.Environ(), "CGO_ENABLED=1")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, stderr.String())
	var all []info
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p info
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	require.NotEmpty(t, all)
	return all
}

func root(t *testing.T) string {
	t.Helper()
	_, here, _, _ := runtime.Caller(0)
	dir, err := filepath.Abs(filepath.Join(filepath.Dir(here), "..", ".."))
	require.NoError(t, err)
	return dir
}

// place finds the folder that stands for a package, and its layer from below; "" when there is none.
func place(pkg string) (folder string, layer int) {
	for i, names := range layers {
		for _, name := range names {
			if len(name) > len(folder) && inside(name, pkg) {
				folder, layer = name, i
			}
		}
	}
	return folder, layer
}

// ours are the module's packages among paths, by their path inside it.
func ours(paths []string) (in []string) {
	for _, p := range paths {
		if rest, ok := strings.CutPrefix(p, module+"/"); ok {
			in = append(in, rest)
		}
	}
	return in
}

func inside(folder, pkg string) bool { return pkg == folder || strings.HasPrefix(pkg, folder+"/") }

func under(folders []string, pkg string) bool {
	for _, f := range folders {
		if inside(f, pkg) {
			return true
		}
	}
	return false
}
