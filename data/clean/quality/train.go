package quality

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/gofinetune/finetune/data"
)

// Example is a text of which is known whether it is good.
type Example struct {
	Text  string
	Good  bool
	Place data.Place // for errors
}

// Config says how a model is trained. The zero value has the documented defaults.
type Config struct {
	Bits   int     `json:"bits"`   // the n-grams are hashed to 2^Bits weights; 0 means 18, at most 24
	Epochs int     `json:"epochs"` // walks over the examples; 0 means 20
	Rate   float64 `json:"rate"`   // of learning; 0 means 0.5
	L2     float64 `json:"l2"`     // penalty on the weights of the n-grams that an example has; 0 means 1e-5, negative none
	Seed   uint64  `json:"seed"`   // of the order of the examples

	// Balance gives both classes the same weight, however many examples each has. Without it, scores lean to the class that
	// has more.
	Balance bool `json:"balance"`
}

// Validate reports every problem at once.
func (c Config) Validate() error {
	var problems []error
	if c.Bits != 0 && (c.Bits < minBits || c.Bits > maxBits) {
		problems = append(problems, fmt.Errorf("Bits: is %d; want 0 (default), or %d to %d", c.Bits, minBits, maxBits))
	}
	if c.Epochs < 0 {
		problems = append(problems, fmt.Errorf("Epochs: is %d; want 0 (default) or more", c.Epochs))
	}
	if !(c.Rate >= 0) || math.IsInf(c.Rate, 0) {
		problems = append(problems, fmt.Errorf("Rate: is %g; want 0 (default) or more", c.Rate))
	}
	if math.IsNaN(c.L2) || math.IsInf(c.L2, 0) {
		problems = append(problems, fmt.Errorf("L2: is %g; want a number", c.L2))
	}
	return errors.Join(problems...)
}

const minBits, maxBits = 8, 24

func (c Config) withDefaults() Config {
	if c.Bits == 0 {
		c.Bits = 18
	}
	if c.Epochs == 0 {
		c.Epochs = 20
	}
	if c.Rate == 0 {
		c.Rate = 0.5
	}
	if c.L2 == 0 {
		c.L2 = 1e-5
	}
	c.L2 = max(c.L2, 0)
	return c
}

// ErrOneClass is examples of which all are good, or all are bad: there is nothing to tell apart.
var ErrOneClass = errors.New("examples of both classes are needed")

// Train fits a model to examples. A text without a single token is an error that names its place. When ctx is done, Train
// returns its cause.
func Train(ctx context.Context, examples []Example, cfg Config) (*Model, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("quality: %w", err)
	}
	cfg = cfg.withDefaults()
	x := newExtractor(cfg.Bits)
	vectors := make([][]feature, len(examples))
	var number [2]int
	for i, e := range examples {
		if err := context.Cause(ctx); err != nil {
			return nil, fmt.Errorf("quality: %w", err)
		}
		x.with(e.Text, func(v []feature) { vectors[i] = append([]feature(nil), v...) })
		if len(vectors[i]) == 0 {
			return nil, fmt.Errorf("quality: %s: example %d: the text is blank; leave it out", e.Place, i+1)
		}
		number[class(e.Good)]++
	}
	if number[0] == 0 || number[1] == 0 {
		return nil, fmt.Errorf("quality: %w: %d good, %d bad", ErrOneClass, number[1], number[0])
	}
	weight := [2]float64{1, 1}
	if cfg.Balance {
		for c := range weight {
			weight[c] = float64(len(examples)) / (2 * float64(number[c]))
		}
	}
	f := newFit(cfg)
	random := rand.New(rand.NewPCG(cfg.Seed, 0x9e3779b97f4a7c15))
	for range cfg.Epochs {
		for _, i := range random.Perm(len(examples)) {
			if err := context.Cause(ctx); err != nil {
				return nil, fmt.Errorf("quality: %w", err)
			}
			c := class(examples[i].Good)
			f.step(vectors[i], float64(c), weight[c])
		}
	}
	return newModel(header{Config: cfg, Good: number[1], Bad: number[0]}, f.weights, f.bias), nil
}

func class(good bool) int {
	if good {
		return 1
	}
	return 0
}

// fit is the state of training: weights, and the sum of the squared gradients of each.
type fit struct {
	rate, l2       float64
	weights        []float32
	squares        []float32
	bias, biasSums float64
}

func newFit(cfg Config) *fit {
	return &fit{rate: cfg.Rate, l2: cfg.L2, weights: make([]float32, 1<<cfg.Bits), squares: make([]float32, 1<<cfg.Bits)}
}

// step learns one example: the gradient of the log loss is (score − label)·x, to which the penalty adds L2·w.
func (f *fit) step(v []feature, label, weight float64) {
	miss := weight * (sigmoid(margin(f.weights, f.bias, v)) - label)
	for _, x := range v {
		g := miss*float64(x.value) + f.l2*float64(f.weights[x.index])
		f.squares[x.index] += float32(g * g)
		f.weights[x.index] -= float32(f.rate * g / math.Sqrt(float64(f.squares[x.index])+1e-10))
	}
	f.biasSums += miss * miss
	f.bias -= f.rate * miss / math.Sqrt(f.biasSums+1e-10)
}

func margin(weights []float32, bias float64, v []feature) float64 {
	sum := bias
	for _, x := range v {
		sum += float64(weights[x.index] * x.value)
	}
	return sum
}

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }
