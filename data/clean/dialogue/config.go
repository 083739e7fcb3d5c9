package dialogue

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Config says how conversations are cleaned. The zero value strips fillers, drops handovers to a human and masks personal
// data; it cuts no turns and adds no tags.
type Config struct {
	Fillers  Fillers  `json:"fillers"`
	Drop     []Rule   `json:"drop"` // nil means TransferToHuman(); an empty list drops nothing
	Newest   Newest   `json:"newest"`
	Personal Personal `json:"personal"`
	Tags     Tags     `json:"tags"`
}

// Validate reports every problem at once, each with its field path.
func (c Config) Validate() error {
	_, err := New(c)
	return err
}

// Cleaner cleans conversations. It is for concurrent use.
type Cleaner struct {
	cfg     Config
	fillers *fillers // nil: kept
	drop    []*matcher
	mask    *masker // nil: kept
	tags    *tagger // nil: none
}

// New checks the configuration and builds a cleaner of it.
func New(cfg Config) (*Cleaner, error) {
	var problems []error
	c := &Cleaner{cfg: cfg}
	if !cfg.Fillers.Keep {
		c.fillers = newFillers(cfg.Fillers, &problems)
	}
	if cfg.Drop == nil {
		cfg.Drop = []Rule{TransferToHuman()}
	}
	for i, rule := range cfg.Drop {
		c.drop = append(c.drop, newMatcher(rule, fmt.Sprintf("Drop[%d]", i), &problems))
	}
	cfg.Newest.check(&problems)
	if !cfg.Personal.Keep {
		c.mask = newMasker(cfg.Personal, &problems)
	}
	if cfg.Tags.Into != NoTags {
		c.tags = newTagger(cfg.Tags, &problems)
	}
	if err := errors.Join(problems...); err != nil {
		return nil, fmt.Errorf("dialogue: %w", err)
	}
	return c, nil
}

func problem(problems *[]error, field, format string, args ...any) {
	*problems = append(*problems, fmt.Errorf("%s: %s", field, fmt.Sprintf(format, args...)))
}

// checkRoles looks for roles that no message has.
func checkRoles(roles []string, field string, problems *[]error) {
	for i, role := range roles {
		if !slices.Contains(knownRoles, role) {
			problem(problems, fmt.Sprintf("%s[%d]", field, i), "is %q; want one of %s", role, strings.Join(knownRoles, ", "))
		}
	}
}

var knownRoles = []string{"system", "developer", "user", "assistant", "tool", "function"}
