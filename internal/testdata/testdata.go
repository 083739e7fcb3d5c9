// Package testdata finds the folders of reference cases that tests run over.
//
// Each folder can be replaced by an environment variable, so that the same tests run on other models, other files and
// other seeds: FINETUNE_GOLDENS, FINETUNE_BADINPUTS, FINETUNE_DATA. The defaults are the folders below testdata at the
// root of the repository.
package testdata

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// Goldens is the folder of reference numbers. A missing folder fails the test.
func Goldens(t testing.TB) string { return folder(t, "FINETUNE_GOLDENS", "goldens") }

// BadInputs is the folder of damaged and hostile files. A missing folder fails the test.
func BadInputs(t testing.TB) string { return folder(t, "FINETUNE_BADINPUTS", "badinputs") }

// Data is the folder of labelled sample data. A missing folder fails the test.
func Data(t testing.TB) string { return folder(t, "FINETUNE_DATA", "data") }

// Cases lists the entries of folder that match pattern (as in filepath.Glob, relative to folder). No match fails the
// test: a suite that ran over nothing has shown nothing.
func Cases(t testing.TB, folder, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(folder, pattern))
	if err != nil {
		t.Fatalf("pattern %q: %v", pattern, err)
	}
	if len(found) == 0 {
		t.Fatalf("%s holds no case %q", folder, pattern)
	}
	return found
}

func folder(t testing.TB, variable, name string) string {
	t.Helper()
	path := os.Getenv(variable)
	if path == "" {
		_, here, _, _ := runtime.Caller(0)
		path = filepath.Join(filepath.Dir(here), "..", "..", "testdata", name)
	}
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || !info.IsDir() {
		t.Fatalf("%s=%s: no such folder; it names the reference cases to run", variable, path)
	}
	return path
}
