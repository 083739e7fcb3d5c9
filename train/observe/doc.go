// Package observe is what a training run tells the outside: one stream of events, and the sinks that show and keep it.
//
//	sinks := []observe.Sink{observe.NewTerminal(os.Stderr), observe.NewJSONL("out/metrics.jsonl")}
//	stream := observe.NewStream(sinks...)
//	stream.Emit(step, observe.Step{Loss: 2.3, GradNorm: 1.1, LearningRate: 2e-5})
//	err := stream.Close() // waits until every sink has seen every event
//
// Emit never waits. Each sink has a goroutine and a queue of its own, so a slow disk or a stopped terminal cannot slow
// training; events reach a sink one at a time and in order. A sink that only shows (Lossy) loses step events when it
// falls behind, and the loss is counted; a sink that keeps gets them all. A sink that panics is cut off, the others go
// on, and Close reports it. An event must not be changed once it is emitted.
//
// A sink lives from a Start event to Close, and may then be used for another run. Broken pipes: the sinks here stop
// writing at the first error and report it on Close; but Go ends a process that writes to a closed standard output or
// standard error unless it handles SIGPIPE, which is for main to decide.
//
// The picture of the loss curve is in package curve, as it brings a plotting library.
package observe
