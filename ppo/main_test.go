package ppo

import (
	"fmt"
	"os"
	"testing"

	"github.com/gofinetune/finetune/internal/torch"
)

// TestMain runs the tests on one thread, on which networks this small are fastest, and wants no tensor left at their end.
func TestMain(m *testing.M) {
	if os.Getenv("OMP_NUM_THREADS") == "" {
		_ = torch.SetThreads(1)
	}
	code := m.Run()
	if n, bytes := torch.Live(), torch.MemoryNow().Live; code == 0 && (n != 0 || bytes != 0) {
		fmt.Fprintf(os.Stderr, "left at the end: %d tensors, %d bytes\n", n, bytes)
		code = 1
	}
	os.Exit(code)
}
