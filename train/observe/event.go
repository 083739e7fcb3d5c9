package observe

import "time"

// Event is one thing that happened in a run.
type Event struct {
	Time time.Time // wall clock, for people: nothing is decided by it
	Step int       // optimizer steps that were done
	Data           // what happened: Start, Step, Evaluation, Checkpoint, Sample, Warning, Ledger or End
}

// Data is what an event says. A sink switches on its type and lets pass what it does not know.
type Data interface {
	Kind() Kind
}

// Kind names a type of event, as "event" in the metrics file does.
type Kind string

// The kinds of events.
const (
	KindStart      Kind = "start"
	KindStep       Kind = "step"
	KindEvaluation Kind = "evaluation"
	KindCheckpoint Kind = "checkpoint"
	KindSample     Kind = "sample"
	KindWarning    Kind = "warning"
	KindLedger     Kind = "ledger"
	KindEnd        Kind = "end"
)

// Start is the plan of a run. Its event's Step is the step that the run resumes after, 0 for a new run.
type Start struct {
	Name       string  `json:"name,omitempty"`       // what is trained: "sft lora r=16", for people
	Steps      int     `json:"steps"`                // optimizer steps at the end; 0 where that is not known
	Epochs     float64 `json:"epochs,omitempty"`     // passes over the data
	Samples    int     `json:"samples,omitempty"`    // in the training set
	Parameters int64   `json:"parameters,omitempty"` // of the whole model
	Trainable  int64   `json:"trainable,omitempty"`  // parameters that change
	Device     string  `json:"device,omitempty"`
	Config     any     `json:"config,omitempty"` // the config in force, defaults filled in; JSON
}

// Step is one optimizer step.
type Step struct {
	Loss            float64       `json:"loss"`          // mean over the step's units, nats per target token in SFT; NaN where it was not finite
	GradNorm        float64       `json:"grad_norm"`     // of all gradients together, before clipping
	LearningRate    float64       `json:"learning_rate"` // that this step used
	Epoch           float64       `json:"epoch,omitempty"`
	Samples         int           `json:"samples,omitempty"`       // of this step
	Tokens          int           `json:"tokens"`                  // of this step, prompts included
	TargetTokens    int           `json:"target_tokens,omitempty"` // of this step: those with a label
	TokensPerSecond float64       `json:"tokens_per_second,omitempty"`
	Duration        time.Duration `json:"step_seconds,omitempty"`
	Remaining       time.Duration `json:"eta_seconds,omitempty"`
	AllocatedBytes  int64         `json:"allocated_bytes,omitempty"` // by tensors, at the end of the step
	PeakBytes       int64         `json:"peak_bytes,omitempty"`      // by tensors, since the run began
	// Metrics are the stage's own figures: rewards, margins, accuracies.
	Metrics map[string]float64 `json:"metrics,omitempty"`
}

// Evaluation is a pass over held-out data.
type Evaluation struct {
	Name         string             `json:"name,omitempty"` // of the data set; "" for the only one
	Loss         float64            `json:"eval_loss"`      // as Step.Loss
	Samples      int                `json:"samples,omitempty"`
	TargetTokens int                `json:"target_tokens,omitempty"`
	Duration     time.Duration      `json:"seconds,omitempty"`
	Best         bool               `json:"best,omitempty"` // of this run, so far
	Metrics      map[string]float64 `json:"metrics,omitempty"`
}

// Checkpoint is a complete save: it is in place when this is said.
type Checkpoint struct {
	Path     string        `json:"path"`
	Bytes    int64         `json:"bytes,omitempty"`
	Duration time.Duration `json:"seconds,omitempty"`
	Reason   string        `json:"reason,omitempty"` // "periodic", "best", "interrupt", "final"
}

// Sample is text that the model wrote, to be read by people.
type Sample struct {
	Prompt string `json:"prompt"`
	Text   string `json:"text"`
}

// Warning is something to look at that did not stop the run.
type Warning struct {
	Class string `json:"class,omitempty"` // for programs: "loss_spike", "skipped_step"
	Text  string `json:"text"`
}

// Ledger is what became of the records of the training data.
type Ledger struct {
	Source    string `json:"source,omitempty"`
	Read      int    `json:"read"`
	Kept      int    `json:"kept"`
	Dropped   int    `json:"dropped"`
	Truncated int    `json:"truncated"`
	Repaired  int    `json:"repaired"`
	Path      string `json:"path,omitempty"` // of the list with file, line and reason
}

// End is the last event of a run.
type End struct {
	Reason          string        `json:"reason"` // "done", or why it stopped
	Failed          bool          `json:"failed,omitempty"`
	Loss            float64       `json:"loss,omitempty"` // of the last steps, as the stage averages them
	Tokens          int64         `json:"tokens,omitempty"`
	TokensPerSecond float64       `json:"tokens_per_second,omitempty"` // over the run
	Duration        time.Duration `json:"seconds,omitempty"`
	PeakBytes       int64         `json:"peak_bytes,omitempty"`
}

// Kind is "start".
func (Start) Kind() Kind { return KindStart }

// Kind is "step".
func (Step) Kind() Kind { return KindStep }

// Kind is "evaluation".
func (Evaluation) Kind() Kind { return KindEvaluation }

// Kind is "checkpoint".
func (Checkpoint) Kind() Kind { return KindCheckpoint }

// Kind is "sample".
func (Sample) Kind() Kind { return KindSample }

// Kind is "warning".
func (Warning) Kind() Kind { return KindWarning }

// Kind is "ledger".
func (Ledger) Kind() Kind { return KindLedger }

// Kind is "end".
func (End) Kind() Kind { return KindEnd }
