package language

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/abadojack/whatlanggo"
)

// Undetermined is the language of a text that has no letters, or too few.
const Undetermined = "und"

// Config says among which languages is chosen. The zero value has the documented defaults.
type Config struct {
	// Languages are those among which a text in a Latin, Cyrillic, Arabic or Devanagari script is assigned, by their codes
	// (ISO 639-1). The fewer they are, the fewer mistakes are made. nil means DefaultLanguages.
	Languages []string `json:"languages"`

	Sample int     `json:"sample"` // bytes of a text on which such languages are told apart; 0 means 1,000
	Mixed  float64 `json:"mixed"`  // share of a second language from which a text is mixed, in (0, 0.5]; 0 means 0.35
}

// DefaultLanguages are told apart where no others are given.
var DefaultLanguages = []string{"en", "fr", "de", "es", "pt", "it", "nl", "pl", "cs", "ro", "hu", "sv", "fi", "tr", "vi", "id",
	"ru", "uk", "bg", "ar", "fa", "ur", "hi"}

// Share is the part that one language has of a text, in [0, 1].
type Share struct {
	Lang  string  `json:"lang"`
	Share float64 `json:"share"`
}

// Result says in which language a text is.
type Result struct {
	Lang  string  `json:"lang"`  // code of the main language (ISO 639-1), or Undetermined
	Score float64 `json:"score"` // in [0, 1]: the language's share, times the certainty with which it was told from others of its script
	Mixed bool    `json:"mixed"` // a second language has a large share too

	Shares  []Share `json:"shares"`         // of all languages found, weighted, the largest first
	Hans    float64 `json:"hans,omitempty"` // of the Han characters that are written in one way only: the share of simplified ones
	Hant    float64 `json:"hant,omitempty"` // and of traditional ones; both 0 where no character tells
	Letters int     `json:"letters"`        // code points that are letters
}

// Tag is the language with the kind of characters: zh-Hans or zh-Hant for Chinese, where a character tells; "mixed" for a
// mixed text; Lang for the others.
func (r Result) Tag() string {
	switch {
	case r.Mixed:
		return "mixed"
	case r.Lang != "zh" || r.Hans == r.Hant:
		return r.Lang
	case r.Hans > r.Hant:
		return "zh-Hans"
	}
	return "zh-Hant"
}

// Identifier tells languages. It is for concurrent use.
type Identifier struct {
	codes  map[whatlanggo.Lang]string
	filter map[whatlanggo.Lang]bool
	sample int
	mixed  float64
}

// New checks the configuration, reports every problem at once, and builds an identifier.
func New(cfg Config) (*Identifier, error) {
	var problems []error
	if cfg.Languages == nil {
		cfg.Languages = DefaultLanguages
	}
	id := &Identifier{codes: map[whatlanggo.Lang]string{}, filter: map[whatlanggo.Lang]bool{}, sample: cmp.Or(cfg.Sample, 1000), mixed: cmp.Or(cfg.Mixed, 0.35)}
	for i, code := range cfg.Languages {
		lang, ok := profiles()[code]
		if !ok {
			problems = append(problems, fmt.Errorf("Languages[%d]: is %q; want one of %v", i, code, slices.Sorted(maps.Keys(profiles()))))
			continue
		}
		id.codes[lang], id.filter[lang] = code, true
	}
	if cfg.Sample < 0 {
		problems = append(problems, fmt.Errorf("Sample: is %d; want 0 (default) or more bytes", cfg.Sample))
	}
	if !(cfg.Mixed >= 0 && cfg.Mixed <= 0.5) {
		problems = append(problems, fmt.Errorf("Mixed: is %g; want 0 (default) or a share in (0, 0.5]", cfg.Mixed))
	}
	if err := errors.Join(problems...); err != nil {
		return nil, fmt.Errorf("language: %w", err)
	}
	return id, nil
}

var standard, _ = New(Config{}) // the zero value is valid, which a test holds

// Identify tells the language of a text with the default configuration.
func Identify(text string) Result { return standard.Identify(text) }

// Identify tells the language of a text. Bytes that are not UTF-8 are passed over.
func (id *Identifier) Identify(text string) Result {
	n := count(text)
	r := Result{Lang: Undetermined}
	if told := n[hans] + n[hant]; told > 0 {
		r.Hans, r.Hant = float64(n[hans])/float64(told), float64(n[hant])/float64(told)
	}
	n[Han] += n[hans] + n[hant]
	n[hans], n[hant] = 0, 0
	for _, letters := range n {
		r.Letters += letters
	}
	if r.Letters == 0 {
		return r
	}
	joinHan(&n)
	certain := map[string]float64{}
	total := 0
	for s := range n {
		total += n[s] * scriptTables[s].weight
	}
	for s, letters := range n {
		if letters == 0 {
			continue
		}
		share := float64(letters*scriptTables[s].weight) / float64(total)
		lang, certainty := scriptTables[s].lang, 1.0
		if lang == "" {
			lang, certainty = id.tell(text, Script(s), share)
		}
		certain[lang] = certainty
		r.Shares = append(r.Shares, Share{lang, share})
	}
	slices.SortStableFunc(r.Shares, func(a, b Share) int { return cmp.Compare(b.Share, a.Share) })
	if r.Lang = r.Shares[0].Lang; r.Lang != Undetermined {
		r.Score = r.Shares[0].Share * certain[r.Lang]
	}
	r.Mixed = len(r.Shares) > 1 && r.Shares[1].Share >= id.mixed
	return r
}

// joinHan counts Han characters to the language that they are part of: Japanese mixes them with kana, Korean has a few.
func joinHan(n *counts) {
	switch {
	case n[Kana]*10 >= n[Han]+n[Kana] && n[Kana] > 0:
		n[Kana] += n[Han]
		n[Han] = 0
	case n[Hangul] > 3*n[Han]:
		n[Hangul] += n[Han]
		n[Han] = 0
	}
}
