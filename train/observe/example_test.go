package observe_test

import (
	"fmt"
	"os"

	"github.com/gofinetune/finetune/train/observe"
)

func ExampleStream() {
	var history observe.Recorder
	stream := observe.NewStream(observe.NewTerminal(os.Stdout), &history)
	stream.Emit(0, observe.Start{Name: "demo", Steps: 2})
	stream.Emit(1, observe.Step{Loss: 2.5, GradNorm: 1.2, LearningRate: 1e-4})
	stream.Emit(2, observe.Step{Loss: 2.25, GradNorm: 1.1, LearningRate: 5e-5})
	stream.Emit(2, observe.End{Reason: "done", Loss: 2.25})
	if err := stream.Close(); err != nil {
		fmt.Println(err)
	}
	fmt.Println(history.Losses())
	// Output:
	// training demo
	// 2 steps
	// step 1/2 (50%)  loss 2.5000  lr 0.0001  grad 1.2000
	// step 2/2 (100%)  loss 2.2500  lr 5e-05  grad 1.1000
	// done after step 2, loss 2.2500
	// [2.5 2.25]
}

// A sink of one's own is one method; here it stops caring after the first warning.
func ExampleSinkFunc() {
	stream := observe.NewStream(observe.SinkFunc(func(e observe.Event) {
		if w, ok := e.Data.(observe.Warning); ok {
			fmt.Printf("step %d: %s\n", e.Step, w.Text)
		}
	}))
	stream.Warn(3, "loss_spike", "loss is %.1f times its average", 4.2)
	if err := stream.Close(); err != nil {
		fmt.Println(err)
	}
	// Output: step 3: loss is 4.2 times its average
}
