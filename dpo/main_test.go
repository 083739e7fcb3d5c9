package dpo

import (
	"testing"

	"github.com/gofinetune/finetune/internal/fixture"
)

// TestMain wants no tensor left at the end.
func TestMain(m *testing.M) { fixture.Main(m) }
