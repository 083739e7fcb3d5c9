package train

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

// lockName is a file in Output that says who trains there. The operating system frees the lock when its holder dies, however.
const lockName = ".lock"

// lock makes this the only run in Output: two would remove each other's checkpoints and mix their metrics.
func (e *Engine) lock() (unlock func(), err error) {
	if e.config.Output == "" {
		return func() {}, nil
	}
	if err := os.MkdirAll(e.config.Output, 0o777); err != nil {
		return nil, fmt.Errorf("Output: %w", err)
	}
	path := filepath.Join(e.config.Output, lockName)
	l := flock.New(path)
	got, err := l.TryLock()
	if err != nil {
		return nil, fmt.Errorf("Output: %s cannot be locked: %w", path, err)
	}
	if !got {
		holder, _ := os.ReadFile(path)
		return nil, fmt.Errorf("another run trains in %s (%s): wait for its end, or name another Output", e.config.Output,
			strings.TrimSpace(string(holder)))
	}
	host, _ := os.Hostname()
	text := fmt.Sprintf("process %d on %s, since %s\n", os.Getpid(), host, time.Now().Format(time.DateTime))
	_ = os.WriteFile(path, []byte(text), 0o666) // for people: the lock holds without it
	return func() { _ = l.Unlock() }, nil
}
