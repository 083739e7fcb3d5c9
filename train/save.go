package train

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"time"

	"github.com/gofinetune/finetune/internal/safetensors"
	"github.com/gofinetune/finetune/internal/torch"
	"github.com/gofinetune/finetune/model"
	"github.com/gofinetune/finetune/train/observe"
)

// saver writes checkpoints beside the training: a copy of what a checkpoint holds is taken between two steps, and another goroutine writes
// it while the next steps go on. There is one copy, whose memory is kept from save to save; a save that comes too early waits for the one
// before.
type saver struct {
	buffers map[string][]byte // by the tensor's name in its file
	writing chan written      // nil: nothing is being written
	saved   int               // step of the last checkpoint written; 0: none
}

// snapshot is a run between two steps.
type snapshot struct {
	step             int
	state            json.RawMessage
	weights, moments []safetensors.Tensor // in the precision they are held in
	reason           string
	began            time.Time
}

// written is what came of a snapshot.
type written struct {
	shot *snapshot
	path string
	size int64
	err  error
}

// save writes a checkpoint of the state in hand, if there is a folder for it, and waits until it is in place.
func (e *Engine) save(reason string) error {
	if e.config.Output == "" || e.config.SaveEvery == Off {
		return nil
	}
	e.settle()
	final := e.checkpoint(e.state.Step)
	if final == e.resumed || e.saver.saved == e.state.Step && e.state.Step > 0 { // a finished run was resumed, or a step has just been saved
		e.result.Checkpoint = final
		return nil
	}
	if err := e.begin(reason); err != nil {
		return err
	}
	return e.told(<-e.saver.writing)
}

// savePeriodic begins to save between steps. A disk that is full now may have room at the next save, so the run goes on; it is said at
// once, and is an error at the end.
func (e *Engine) savePeriodic(reason string) {
	e.settle()
	if err := e.begin(reason); err != nil {
		e.unsavedNow(err)
	}
}

// settle waits for the save in hand, if there is one.
func (e *Engine) settle() {
	if e.saver.writing != nil {
		e.look(<-e.saver.writing)
	}
}

// poll looks whether the save in hand is done.
func (e *Engine) poll() {
	select {
	case w := <-e.saver.writing: // never, while there is none
		e.look(w)
	default:
	}
}

func (e *Engine) look(w written) {
	if err := e.told(w); err != nil {
		e.unsavedNow(err)
	}
}

func (e *Engine) unsavedNow(err error) {
	e.stream.Warn(e.state.Step, "checkpoint_failed", "%v; the run goes on", err)
	e.unsaved = append(e.unsaved, err)
}

// begin takes the copy and starts to write it.
func (e *Engine) begin(reason string) error {
	state, err := json.Marshal(e.stateFile())
	if err != nil {
		return fmt.Errorf("checkpoint after step %d: %w", e.state.Step, err)
	}
	shot := &snapshot{step: e.state.Step, state: state, reason: reason, began: time.Now()}
	if err := torch.Do(func(s *torch.Scope) { e.copyTensors(s, shot) }); err != nil {
		return fmt.Errorf("checkpoint after step %d: %w", e.state.Step, err)
	}
	final := e.checkpoint(e.state.Step)
	e.saver.writing = make(chan written, 1)
	go func(done chan<- written) {
		size, err := e.write(final, shot)
		if err != nil {
			size, err = 0, fmt.Errorf("checkpoint after step %d: %w", shot.step, err)
		} else {
			err = e.prune(shot.step)
		}
		done <- written{shot, final, size, err}
	}(e.saver.writing)
	return nil
}

// told passes on what came of a save.
func (e *Engine) told(w written) error {
	e.saver.writing = nil
	if w.size > 0 { // it is in place, whatever became of older ones
		e.saver.saved, e.result.Checkpoint = w.shot.step, w.path
		e.stream.Emit(w.shot.step, observe.Checkpoint{Path: w.path, Bytes: w.size, Duration: time.Since(w.shot.began), Reason: w.shot.reason})
	}
	return w.err
}

func (e *Engine) checkpoint(step int) string {
	return filepath.Join(e.checkpoints(), fmt.Sprintf("step-%08d", step))
}

// copyTensors copies the trained weights and their moments.
func (e *Engine) copyTensors(s *torch.Scope, shot *snapshot) {
	if e.saver.buffers == nil {
		e.saver.buffers = map[string][]byte{}
	}
	one := func(name string, shape []int64, t *torch.Tensor) safetensors.Tensor {
		t = s.Contiguous(s.Detach(t))
		size := t.Numel() * t.DType().Size()
		buffer := e.saver.buffers[name]
		if int64(len(buffer)) != size {
			buffer = make([]byte, size)
			e.saver.buffers[name] = buffer
		}
		t.CopyTo(buffer)
		return safetensors.Tensor{Name: name, DType: model.FileType(t.DType()), Shape: shape, Data: buffer}
	}
	for i, p := range e.params {
		shot.weights = append(shot.weights, one(p.Name, p.Shape, p.Tensor))
		shot.moments = append(shot.moments, one("m."+p.Name, p.Shape, e.optimizer.m[i]), one("v."+p.Name, p.Shape, e.optimizer.v[i]))
	}
}
