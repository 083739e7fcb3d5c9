// Package train is the engine under every stage: the loop, the optimizer, evaluation and checkpoints. It knows no stage: what is
// learned is an Objective.
//
//	engine, err := train.New(lm, train.NextToken{Model: lm}, samples, held, config)
//	result, err := engine.Run(ctx)
//
// A run is a function of its config, its data and its seed: the order of samples, dropout and every update can be repeated bit for
// bit on the same machine with the same number of threads, and a run that was stopped goes on as if it had not been.
//
// The loop is in loop.go; read it first.
package train
