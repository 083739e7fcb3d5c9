// Package schedule gives the learning rate of each optimizer step: the schedules of transformers' get_scheduler, under
// the same names, with the same parameters and the same numbers.
//
//	lr(step) = base rate · factor(step),  step = 0 for the first optimizer step
//
//	s, err := schedule.Config{Name: schedule.Cosine, WarmupSteps: 30}.New(2e-5, 1000)
//	rate := s.At(0) // 0: under warm-up the first step moves nothing, as in transformers
//
// A schedule has no state: a resumed run asks it for the step that it is at. Any other curve is a Func. Schedules that
// follow a metric (reduce_lr_on_plateau, greedy) are not here.
package schedule
