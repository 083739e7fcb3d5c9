package observe

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// events is a short run with one of everything, a second a step.
func everything() []Event {
	at := func(step int, d Data) Event {
		return Event{Time: noon.Add(time.Duration(step) * time.Second), Step: step, Data: d}
	}
	list := []Event{
		at(0, Start{Name: "sft lora r=8", Steps: 30, Epochs: 2, Samples: 120, Parameters: 13_200_000, Trainable: 65_536, Device: "cpu"}),
		at(0, Ledger{Source: "sft.jsonl", Read: 130, Kept: 120, Dropped: 10}),
	}
	for i := 1; i <= 30; i++ {
		list = append(list, at(i, Step{Loss: 2.5 - float64(i)/100, GradNorm: 1.25, LearningRate: 2e-5, Epoch: float64(i) / 15,
			TokensPerSecond: 2117, Remaining: time.Duration(30-i) * time.Second, AllocatedBytes: 900 << 20, PeakBytes: 1 << 30}))
	}
	return append(list,
		at(30, Evaluation{Loss: 2.31, Best: true}),
		at(30, Sample{Prompt: "天为什么是蓝的？", Text: "因为\x1b[31m瑞利散射。\nRed"}),
		at(30, Warning{Text: "loss spike"}),
		at(30, Checkpoint{Path: "out/step-30", Bytes: 3 << 20, Duration: 40 * time.Millisecond, Reason: "final"}),
		at(30, End{Reason: "done", Loss: 2.2, Tokens: 63_510, TokensPerSecond: 2117, Duration: 65 * time.Second, PeakBytes: 1 << 30}))
}

func TestPlainLines(t *testing.T) {
	var out bytes.Buffer
	terminal := NewTerminal(&out)
	for _, e := range everything() {
		terminal.Observe(e)
	}
	require.NoError(t, terminal.Close())
	assert.Equal(t, `training sft lora r=8: 65.5k of 13.2M parameters (0.496%) on cpu
30 steps, 2 epochs, 120 samples
data sft.jsonl: 130 records read, 120 kept, 10 dropped, 0 truncated, 0 repaired
step 1/30 (3%)  epoch 0.07  loss 2.4900  eta 29s  2.12k tok/s  lr 2e-05  grad 1.2500  mem 900 MiB  peak 1.0 GiB
step 11/30 (37%)  epoch 0.73  loss 2.3900  eta 19s  2.12k tok/s  lr 2e-05  grad 1.2500  mem 900 MiB  peak 1.0 GiB
step 21/30 (70%)  epoch 1.40  loss 2.2900  eta 9.0s  2.12k tok/s  lr 2e-05  grad 1.2500  mem 900 MiB  peak 1.0 GiB
step 30/30 (100%)  epoch 2.00  loss 2.2000  2.12k tok/s  lr 2e-05  grad 1.2500  mem 900 MiB  peak 1.0 GiB
evaluation after step 30: loss 2.3100 (best so far)
sample after step 30
  > 天为什么是蓝的？
  因为�[31m瑞利散射。
  Red
warning: step 30: loss spike
checkpoint after step 30: out/step-30 (3.0 MiB, 0.0s, final)
done after step 30 in 1m05s, loss 2.2000, 2.12k tokens/s, peak memory 1.0 GiB
`, out.String())
}

func TestTheRedrawnLineFits(t *testing.T) {
	e := everything()[20]
	assert.Equal(t, "step 19/30  #########------  63%  loss 2.3100  eta 11s  2.12k tok/s  lr 2e-05", look{}.progress(e, 30, 79))
	assert.Equal(t, "step 19/30  ███████████████████░░░░░░░░░░░  63%  loss 2.3100  eta 11s  2.12k tok/s  lr 2e-05  grad 1.2500  mem 900 MiB  peak 1.0 GiB",
		look{blocks: true}.progress(e, 30, 200))
	assert.Equal(t, "step 19  loss 2.3100  eta 11s", look{}.progress(e, 0, 30), "no bar without an end")
	rapid.Check(t, func(t *rapid.T) {
		columns := rapid.IntRange(5, 200).Draw(t, "columns")
		step := rapid.IntRange(0, 2_000_000).Draw(t, "step")
		e := Event{Step: step, Data: Step{Loss: rapid.Float64().Draw(t, "loss"), Metrics: map[string]float64{"奖励": 1}}}
		line := look{blocks: true}.progress(e, rapid.IntRange(0, 1_000_000).Draw(t, "steps"), columns)
		require.LessOrEqual(t, width(line), columns, line)
	})
}

func TestLookFollowsTheEnvironment(t *testing.T) {
	for _, tt := range []struct {
		env  map[string]string
		want look
	}{
		{map[string]string{}, look{colour: true, blocks: true}},
		{map[string]string{"NO_COLOR": "1", "LANG": "zh_CN.UTF-8"}, look{blocks: true}},
		{map[string]string{"LANG": "en_US.UTF-8", "LC_ALL": "C"}, look{colour: true}},
	} {
		assert.Equal(t, tt.want, newLook(func(name string) string { return tt.env[name] }))
	}
	assert.Equal(t, "x", look{}.warn("x"))
	assert.Equal(t, "\x1b[33mx\x1b[0m", look{colour: true}.warn("x"))
}

func TestWidthOfCharacters(t *testing.T) {
	for text, want := range map[string]int{"abc": 3, "天空": 4, "é": 1, "e\u0301": 1, "ﾊ": 1, "Ｗ": 2, "": 0} {
		assert.Equal(t, want, width(text), text)
	}
	assert.Equal(t, "天", cut("天空", 3), "never half a character")
}

func TestShortFigures(t *testing.T) {
	for _, tt := range []struct{ got, want string }{
		{short(3 * time.Second), "3.0s"}, {short(59 * time.Second), "59s"}, {short(185 * time.Second), "3m05s"},
		{short(260 * time.Minute), "4h20m"}, {short(55 * time.Hour), "2d07h"},
		{amount(417), "417"}, {amount(999.6), "1k"}, {amount(4180), "4.18k"}, {amount(13.2e6), "13.2M"}, {amount(7e9), "7B"},
		{number(0), "0.0000"}, {number(2.31), "2.3100"}, {number(1e-5), "1e-05"}, {number(12345), "1.23e+04"},
	} {
		assert.Equal(t, tt.want, tt.got)
	}
}

type brokenPipe struct{ writes int }

func (b *brokenPipe) Write([]byte) (int, error) { b.writes++; return 0, errors.New("broken pipe") }

func TestABrokenTerminalIsLeftAlone(t *testing.T) {
	w := &brokenPipe{}
	terminal := NewTerminal(w)
	for _, e := range everything() {
		terminal.Observe(e)
	}
	assert.ErrorContains(t, terminal.Close(), "broken pipe")
	assert.Equal(t, 1, w.writes)
}

func TestSlog(t *testing.T) {
	var out bytes.Buffer
	s := &Slog{Logger: slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))}
	for _, e := range everything() {
		s.Observe(e)
	}
	lines := strings.Split(out.String(), "\n")
	assert.Equal(t, 4, strings.Count(out.String(), "msg=step "), "1, 11, 21 and 30")
	assert.Contains(t, lines[2], "level=INFO msg=step step=1 loss=2.49 grad_norm=1.25 learning_rate=2e-05")
	assert.Contains(t, out.String(), "level=WARN msg=warning step=30 text=\"loss spike\"")
}
