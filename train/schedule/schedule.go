package schedule

// Schedule gives learning rates. At may be called for any step, in any order, from several goroutines.
type Schedule interface {
	// At is the learning rate of an optimizer step, counted from 0.
	At(step int) float64
}

// Func makes a function of the step a Schedule.
type Func func(step int) float64

// At calls the function.
func (f Func) At(step int) float64 { return f(step) }

// scaled is a curve of factors, usually in [0, 1], times the base rate.
type scaled struct {
	base   float64
	factor func(step int) float64
}

func (s scaled) At(step int) float64 { return s.base * s.factor(max(step, 0)) }
