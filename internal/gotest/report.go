package main

import (
	"fmt"
	"io"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// event is a line of `go test -json` (go doc test2json).
type event struct {
	Action      string
	Package     string
	ImportPath  string // of build output
	Test        string
	Output      string
	FailedBuild string
}

// name is a test or subtest of a package.
type name struct{ pkg, test string }

// test is one that runs, or has run.
type test struct {
	output  strings.Builder
	outcome string // pass, skip, fail; "" while it runs
	parent  bool   // has subtests, which are counted in its place
}

// report collects the events of a run and prints what go test without -json would.
type report struct {
	out io.Writer

	mu       sync.Mutex
	tests    map[name]*test
	order    []name
	running  map[string]*strings.Builder // packages, with their own output
	packages int                         // finished
	broken   []string                    // packages that failed without a failing test
	spoke    time.Time
}

func newReport(out io.Writer) *report {
	return &report{out: out, tests: map[name]*test{}, running: map[string]*strings.Builder{}, spoke: time.Now()}
}

func (r *report) add(e event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case e.Action == "build-output":
		r.print(e.Output)
	case e.Package == "":
	case e.Test == "":
		r.addPackage(e)
	default:
		r.addTest(e)
	}
}

func (r *report) addTest(e event) {
	n := name{e.Package, e.Test}
	t := r.tests[n]
	if t == nil {
		t = &test{}
		r.tests[n] = t
		r.order = append(r.order, n)
		if i := strings.LastIndexByte(e.Test, '/'); i >= 0 {
			if p := r.tests[name{e.Package, e.Test[:i]}]; p != nil {
				p.parent = true
			}
		}
	}
	switch e.Action {
	case "output":
		t.output.WriteString(e.Output)
	case "pass", "skip", "fail":
		t.outcome = e.Action
		if e.Action == "pass" {
			t.output.Reset()
		}
	}
}

func (r *report) addPackage(e event) {
	own := r.running[e.Package]
	if own == nil {
		own = &strings.Builder{}
		r.running[e.Package] = own
	}
	switch e.Action {
	case "output":
		own.WriteString(e.Output)
	case "pass", "skip", "fail":
		r.packages++
		delete(r.running, e.Package)
		if e.Action == "fail" {
			r.printFailure(e.Package, own.String())
			return
		}
		lines := strings.SplitAfter(strings.TrimRight(own.String(), "\n"), "\n")
		r.print(lines[len(lines)-1] + "\n") // ok package 1.2s: all that go test shows of a package that passes
	}
}

// printFailure shows the output of the tests that failed or never ended, and then the package's own.
func (r *report) printFailure(pkg, own string) {
	explained := false
	for _, n := range r.order {
		t := r.tests[n]
		if n.pkg != pkg {
			continue
		}
		if t.outcome == "" {
			t.outcome = "fail" // the process ended under it
		}
		if t.outcome == "fail" {
			explained = true
			r.print(progress.ReplaceAllString(t.output.String(), ""))
		}
	}
	if !explained {
		r.broken = append(r.broken, pkg)
	}
	r.print(own)
}

// finish closes the books of a run that has ended, in order or not.
func (r *report) finish() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, pkg := range slices.Sorted(maps.Keys(r.running)) {
		r.printFailure(pkg, r.running[pkg].String())
	}
	clear(r.running)
}

func (r *report) print(text string) {
	if text != "" {
		r.spoke = time.Now()
		_, _ = io.WriteString(r.out, text)
	}
}

// waiting names the tests that run, when nothing has been printed for that long.
func (r *report) waiting(silence time.Duration) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.spoke) < silence {
		return ""
	}
	r.spoke = time.Now()
	var at []string
	for _, n := range r.order {
		if t := r.tests[n]; t.outcome == "" && !t.parent {
			at = append(at, path.Base(n.pkg)+" "+n.test)
		}
	}
	switch {
	case len(r.running) == 0:
		return "compiling"
	case len(at) == 0:
		return "running " + strings.Join(slices.Sorted(maps.Keys(r.running)), ", ")
	case len(at) > 3:
		at = append(at[:3], "…")
	}
	return "running " + strings.Join(at, ", ")
}

// tally counts tests by outcome; those with subtests count by their subtests.
func (r *report) tally() (passed, skipped, unsupported, failed int) {
	for _, n := range r.order {
		switch t := r.tests[n]; {
		case t.outcome == "fail" && !(t.parent && r.childFailed(n)):
			failed++
		case t.parent:
		case t.outcome == "pass":
			passed++
		case t.outcome == "skip":
			skipped++
			if notYet.MatchString(t.reason()) {
				unsupported++
			}
		}
	}
	return passed, skipped, unsupported, failed + len(r.broken)
}

func (r *report) childFailed(parent name) bool {
	return slices.ContainsFunc(r.order, func(n name) bool {
		return n.pkg == parent.pkg && strings.HasPrefix(n.test, parent.test+"/") && r.tests[n].outcome == "fail"
	})
}

func (r *report) failures() int {
	_, _, _, failed := r.tally()
	return failed
}

func (r *report) counts() string {
	passed, skipped, unsupported, failed := r.tally()
	why := ""
	if unsupported > 0 {
		why = fmt.Sprintf(" (%d not yet supported)", unsupported)
	}
	return fmt.Sprintf("%d passed, %d skipped%s, %d failed", passed, skipped, why, failed)
}

var (
	// progress is what go test prints with -v, and -json, only.
	progress = regexp.MustCompile(`(?m)^=== (RUN|PAUSE|CONT|NAME) .*\n`)

	notYet = regexp.MustCompile(`not yet supported|not supported yet|not read yet`)
	logged = regexp.MustCompile(`^\s+\S+\.go:\d+: (.*)`)
)

// reason is what a skipped test said: the first line of its log.
func (t *test) reason() string {
	for line := range strings.Lines(t.output.String()) {
		if m := logged.FindStringSubmatch(line); m != nil {
			return strings.TrimSpace(m[1])
		}
	}
	return "no reason given"
}

// listSkipped prints the cases that are not supported yet by name, and others by number and reason.
func (r *report) listSkipped() {
	unsupported, others := map[string][]string{}, map[string]int{}
	for _, n := range r.order {
		t := r.tests[n]
		if t.outcome != "skip" {
			continue
		}
		parent, own, nested := strings.Cut(n.test, "/")
		group := path.Base(n.pkg) + " " + parent
		switch reason := t.reason(); {
		case notYet.MatchString(reason) && nested:
			unsupported[group] = append(unsupported[group], own)
		case notYet.MatchString(reason):
			unsupported[group] = append(unsupported[group], reason)
		default:
			kind, _, _ := strings.Cut(reason, ": ") // what follows is about the case
			others[group+": "+kind]++
		}
	}
	for _, group := range slices.Sorted(maps.Keys(unsupported)) {
		r.print("not yet supported: " + group + ": " + strings.Join(unsupported[group], ", ") + "\n")
	}
	for _, group := range slices.Sorted(maps.Keys(others)) {
		r.print(fmt.Sprintf("skipped: %s (%d)\n", group, others[group]))
	}
}
