package schedule_test

import (
	"encoding/json"
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/gofinetune/finetune/train/schedule"
)

func TestRatesByHand(t *testing.T) {
	for _, tt := range []struct {
		name   string
		config schedule.Config
		step   int
		want   float64
	}{
		{"the zero value is linear", schedule.Config{}, 50, 0.5},           // (100−50)/100
		{"warm-up begins at 0", schedule.Config{WarmupSteps: 10}, 0, 0},    // 0/10
		{"warm-up ends at 1", schedule.Config{WarmupSteps: 10}, 10, 1},     // (100−10)/90
		{"a share of the steps", schedule.Config{WarmupRatio: 0.1}, 5, .5}, // 5/10
		{"a share is rounded up", schedule.Config{WarmupRatio: 0.101}, 11, 1},
		{"cosine at the middle", schedule.Config{Name: schedule.Cosine}, 50, 0.5},          // (1+cos(π/2))/2
		{"a floor", schedule.Config{Name: schedule.CosineWithMinLR, MinLR: 0.1}, 100, 0.1}, // 0·0.9 + 0.1
		{"a floor of 0", schedule.Config{Name: schedule.CosineWithMinLR, MinLRRate: -1}, 100, 0},
		{"the level", schedule.Config{Name: schedule.WarmupStableDecay, DecaySteps: 10}, 89, 1},
		{"the decay, half way", schedule.Config{Name: schedule.WarmupStableDecay, DecaySteps: 10}, 95, 0.5},
		{"after the end", schedule.Config{Name: schedule.Polynomial, EndLR: schedule.Off}, 200, 0},
		{"a negative step is the first", schedule.Config{}, -3, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := tt.config.New(1, 100)
			require.NoError(t, err)
			assert.InDelta(t, tt.want, s.At(tt.step), 1e-15)
		})
	}
}

func TestValidateNamesEveryProblem(t *testing.T) {
	err := schedule.Config{Name: "cosin", WarmupSteps: -1, WarmupRatio: 2, Power: -3, DecayShape: "steep"}.Validate()
	for _, field := range []string{`Name: is "cosin"`, "WarmupSteps: is -1", "WarmupRatio: is 2", "Power: is -3", "DecayShape: is steep"} {
		assert.ErrorContains(t, err, field)
	}
	for _, tt := range []struct {
		config schedule.Config
		steps  int
		want   string
	}{
		{schedule.Config{Power: 2}, 10, "Power: is set, but linear has no such parameter"},
		{schedule.Config{Name: schedule.CosineWithMinLR}, 10, "exactly one"},
		{schedule.Config{Name: schedule.CosineWithMinLR, MinLR: 1, MinLRRate: 1}, 10, "exactly one"},
		{schedule.Config{Name: schedule.WarmupStableDecay}, 10, "DecaySteps: is 0"},
		{schedule.Config{Name: schedule.WarmupStableDecay, DecaySteps: 8, WarmupSteps: 3}, 10, "DecaySteps: is 8"},
		{schedule.Config{Name: schedule.Polynomial, EndLR: 2}, 10, "EndLR: is 2"},
		{schedule.Config{Name: schedule.Polynomial, WarmupSteps: 10}, 10, "WarmupSteps: is 10 of 10"},
		{schedule.Config{Name: "reduce_lr_on_plateau"}, 10, "Name"},
		{schedule.Config{Cycles: math.NaN()}, 10, "Cycles"},
		{schedule.Config{}, 0, "Steps: is 0"},
	} {
		_, err := tt.config.New(1, tt.steps)
		assert.ErrorContains(t, err, tt.want)
	}
	_, err = schedule.Config{}.New(math.Inf(1), 10)
	assert.ErrorContains(t, err, "LearningRate")
}

// Whatever the parameters, a rate is finite and never negative, and none but the constant ignores warm-up.
func TestRatesAreFiniteAndPositive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		steps := rapid.IntRange(1, 300).Draw(t, "steps")
		c := schedule.Config{
			Name:        rapid.SampledFrom(schedule.Names()).Draw(t, "name"),
			WarmupSteps: rapid.IntRange(0, steps-1).Draw(t, "warmup"),
		}
		switch c.Name {
		case schedule.CosineWithMinLR, schedule.CosineWarmupMinLR:
			c.MinLRRate = rapid.Float64Range(0.01, 1).Draw(t, "floor")
		case schedule.WarmupStableDecay:
			c.DecaySteps = rapid.IntRange(1, steps-c.WarmupSteps).Draw(t, "decay")
		}
		s, err := c.New(1e-3, steps)
		require.NoError(t, err)
		for step := range steps + 2 {
			rate := s.At(step)
			require.True(t, rate >= 0 && rate <= 1e-3*(1+1e-12), "step %d: %g", step, rate)
		}
	})
}

func TestConfigSurvivesJSON(t *testing.T) {
	c := schedule.Config{Name: schedule.WarmupStableDecay, WarmupSteps: 3, DecaySteps: 4, StableSteps: schedule.Off, DecayShape: schedule.OneMinusSqrt}
	text, err := json.Marshal(c)
	require.NoError(t, err)
	assert.JSONEq(t, `{"lr_scheduler_type":"warmup_stable_decay","warmup_steps":3,"num_decay_steps":4,"num_stable_steps":-1,"decay_type":"1-sqrt"}`, string(text))
	var back schedule.Config
	require.NoError(t, json.Unmarshal(text, &back))
	assert.Equal(t, c, back)
}

func ExampleConfig_New() {
	s, err := schedule.Config{Name: schedule.Cosine, WarmupSteps: 2}.New(2e-5, 10)
	if err != nil {
		fmt.Println(err)
		return
	}
	for step := range 10 {
		fmt.Printf("%.2g ", s.At(step))
	}
	// Output: 0 1e-05 2e-05 1.9e-05 1.7e-05 1.4e-05 1e-05 6.2e-06 2.9e-06 7.6e-07
}

func ExampleFunc() {
	var s schedule.Schedule = schedule.Func(func(step int) float64 { return 1e-3 / float64(step+1) })
	fmt.Println(s.At(0), s.At(1))
	// Output: 0.001 0.0005
}
