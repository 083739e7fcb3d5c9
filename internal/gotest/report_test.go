package main

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// lines are events, one a line: action, package, test (- for none), output.
func feed(t *testing.T, lines string) (*report, string) {
	t.Helper()
	var out strings.Builder
	r := newReport(&out)
	for line := range strings.Lines(strings.TrimSpace(lines)) {
		f := append(strings.SplitN(strings.TrimSpace(line), " ", 4), "", "")
		e := event{Action: f[0], Package: f[1], Test: strings.TrimPrefix(f[2], "-")}
		if f[3] != "" {
			e.Output = strings.ReplaceAll(f[3], `\t`, "\t") + "\n"
		}
		r.add(e)
	}
	r.finish()
	return r, out.String()
}

func TestCountsLeavesNotParents(t *testing.T) {
	r, out := feed(t, `
start a
run a TestX
run a TestX/one
run a TestX/two
output a TestX/two \tx_test.go:7: not yet supported: gemma2
skip a TestX/two
pass a TestX/one
pass a TestX
run a TestY
output a TestY     y_test.go:3: root may read everything
skip a TestY
output a - PASS
output a - ok  \ta\t0.1s
pass a`)
	assert.Equal(t, "1 passed, 2 skipped (1 not yet supported), 0 failed", r.counts())
	assert.Equal(t, "ok  \ta\t0.1s\n", out, "of a package that passes, the last line alone")
	var list strings.Builder
	r.out = &list
	r.listSkipped()
	assert.Equal(t, "not yet supported: a TestX: two\nskipped: a TestY: root may read everything (1)\n", list.String())
}

func TestAFailingSubtestCountsOnce(t *testing.T) {
	r, out := feed(t, `
start a
run a TestX
run a TestX/one
output a TestX/one === RUN   TestX/one
output a TestX/one     x_test.go:7: 3 is not 4
fail a TestX/one
output a TestX --- FAIL: TestX (0.00s)
fail a TestX
run a TestY
output a TestY never shown
pass a TestY
output a - FAIL\ta\t0.1s
fail a`)
	assert.Equal(t, "1 passed, 0 skipped, 1 failed", r.counts())
	assert.Contains(t, out, "3 is not 4")
	assert.Contains(t, out, "FAIL\ta\t0.1s")
	assert.NotContains(t, out, "never shown")
	assert.NotContains(t, out, "=== RUN")
}

func TestAPackageThatDoesNotBuildIsAFailure(t *testing.T) {
	r, out := feed(t, `
start a
output a - FAIL\ta [build failed]
fail a`)
	assert.Equal(t, 1, r.failures())
	assert.Contains(t, out, "[build failed]")
}

func TestAProcessThatDiesFailsTheTestInHand(t *testing.T) {
	r, out := feed(t, `
start a
run a TestX
output a TestX fatal error: unexpected signal
start b`)
	assert.Equal(t, 2, r.failures(), "TestX, and the package that never reported")
	assert.Contains(t, out, "unexpected signal")
}

func TestSaysWhatItWaitsFor(t *testing.T) {
	r := newReport(&strings.Builder{})
	assert.Empty(t, r.waiting(time.Hour))
	assert.Equal(t, "compiling", r.waiting(0))
	r.add(event{Action: "start", Package: "x/a"})
	assert.Equal(t, "running x/a", r.waiting(0))
	r.add(event{Action: "run", Package: "x/a", Test: "TestX"})
	r.add(event{Action: "run", Package: "x/a", Test: "TestX/one"})
	assert.Equal(t, "running a TestX/one", r.waiting(0))
}

func TestLabelsARunByItsTags(t *testing.T) {
	assert.Equal(t, "", label("./..."))
	assert.Equal(t, "with -tags torchcheck: ", label("-timeout 9m -tags torchcheck ./model"))
}

// On the real go test: a package without tests that is known to build.
func TestRunsGoTest(t *testing.T) {
	var out strings.Builder
	ok, err := runAll(t.Context(), []string{"-run ^TestLabels ."}, &out)
	require.NoError(t, err)
	assert.True(t, ok)
	assert.Contains(t, out.String(), "ok  \tgithub.com/gofinetune/finetune/internal/gotest")
	assert.True(t, strings.HasSuffix(out.String(), "\ntest: 1 passed, 0 skipped, 0 failed\n"), out.String())

	ok, err = runAll(t.Context(), []string{"-run ^None$ ./nowhere"}, &out)
	require.NoError(t, err)
	assert.False(t, ok, "a package that is not there")
	_, err = runAll(t.Context(), []string{"-count=none ."}, &out)
	assert.Error(t, err, "go test itself fails")
}
