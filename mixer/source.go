package mixer

import (
	"fmt"

	"github.com/gofinetune/finetune/data"
)

// Source is one of the sets that are mixed.
type Source struct {
	Name string `json:"name"`
	Role Role   `json:"role,omitzero"` // what it is for, as presets need to know
	Set  Set    `json:"-"`

	// Ratio is the target share of the source; shares are these numbers over their sum. 0 in all sources means in
	// proportion to size. With a preset, it weighs the sources of one role against each other.
	Ratio float64 `json:"ratio,omitempty"`

	MaxTokens  int64   `json:"max_tokens,omitempty"`  // tokens it may give in an epoch; 0 means no limit
	MaxSamples int64   `json:"max_samples,omitempty"` // samples it may give in an epoch; 0 means no limit
	MaxEpochs  float64 `json:"max_epochs,omitempty"`  // walks over its samples in an epoch; 0 means Config.MaxEpochs, negative no limit

	// Task names the task of a sample; nil means that all are of one. It must always answer the same.
	Task  func(sample int) string `json:"-"`
	Tasks Tasks                   `json:"tasks,omitzero"` // how the tasks are balanced
}

// Set is what the mixer needs to know of a source's samples. It is asked from several goroutines.
type Set interface {
	Len() int
	Tokens(sample int) int
}

// Samples is a [Set] of encoded samples.
type Samples []data.Sample

// Len is the number of samples.
func (s Samples) Len() int { return len(s) }

// Tokens is the length of a sample.
func (s Samples) Tokens(sample int) int { return s[sample].Len() }

// Lengths is a [Set] of which only the lengths in tokens are known: a plan can be made before the data are at hand.
type Lengths []int32

// Len is the number of samples.
func (l Lengths) Len() int { return len(l) }

// Tokens is the length of a sample.
func (l Lengths) Tokens(sample int) int { return int(l[sample]) }

// Uniform is a [Set] of equally long samples, for planning with nothing but counts.
type Uniform struct{ Count, Length int }

// Len is the number of samples.
func (u Uniform) Len() int { return u.Count }

// Tokens is the length of every sample.
func (u Uniform) Tokens(int) int { return u.Length }

// Role says what a source is for.
type Role int

const (
	Unassigned  Role = iota // presets refuse it
	Domain                  // texts or dialogues of the domain
	General                 // what keeps general abilities: replay
	Instruction             // instruction data of the domain's own tasks, for MIP; counts as Domain elsewhere
)

var roleNames = []string{"", "domain", "general", "instruction"}

// String is the role's name in configurations.
func (r Role) String() string {
	if r < 0 || int(r) >= len(roleNames) {
		return fmt.Sprintf("Role(%d)", int(r))
	}
	return roleNames[r]
}

// MarshalText writes the role's name.
func (r Role) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads domain, general or instruction; the empty text is Unassigned.
func (r *Role) UnmarshalText(name []byte) error {
	for i, known := range roleNames {
		if known == string(name) {
			*r = Role(i)
			return nil
		}
	}
	return fmt.Errorf("role: is %q; want domain, general or instruction", name)
}
