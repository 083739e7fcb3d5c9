package language

import (
	"strings"
	"sync"
	"unicode"

	"github.com/abadojack/whatlanggo"
)

// profiles are the languages that have trigrams, by code.
var profiles = sync.OnceValue(func() map[string]whatlanggo.Lang {
	all := map[string]whatlanggo.Lang{"fa": whatlanggo.Pes} // Persian, which has no short code there
	for lang := range whatlanggo.Langs {
		if code := lang.Iso6391(); code != "" {
			all[code] = lang
		}
	}
	return all
})

// English is decided by its function words where they are frequent enough: that is some ten times as fast as trigrams and
// holds for lists and tables too. Words that other languages of the script have as well (in, is, to, of, was) are left out.
var english = func() map[string]bool {
	words := map[string]bool{}
	for _, w := range strings.Fields("the and that with for this are not you have from which they were been will would there their what when has it's don't") {
		words[w] = true
	}
	return words
}()

// leastEnglish is the share of those words among all from which a text is English; running English has 0.15 to 0.25, other
// languages below 0.01.
const leastEnglish = 0.08

// tell finds the language of the letters of one script, with a certainty in [0, 1]. Where they are a small part of the
// text, only English is told: trigrams would cost more than that part is worth.
func (id *Identifier) tell(text string, s Script, share float64) (lang string, certainty float64) {
	letters := sample(text, s, id.sample)
	if s == Latin && id.filter[whatlanggo.Eng] && isEnglish(letters) {
		return "en", 1
	}
	if share < id.mixed {
		return Undetermined, 0
	}
	found := whatlanggo.DetectWithOptions(letters, whatlanggo.Options{Whitelist: id.filter})
	code, known := id.codes[found.Lang]
	if !known || found.Confidence == 0 { // 0 is a draw, in which chance would decide
		return Undetermined, 0
	}
	return code, found.Confidence
}

func isEnglish(letters string) bool {
	words, hits := 0, 0
	for word := range strings.FieldsSeq(letters) {
		words++
		if english[word] {
			hits++
		}
	}
	return words >= 4 && float64(hits) >= leastEnglish*float64(words)
}

// sample takes the words of one script, in lower case, with a space for everything else: of a long text from its
// beginning, its middle and its end.
func sample(text string, s Script, size int) string {
	var b strings.Builder
	b.Grow(size + size/4)
	if len(text) <= 2*size {
		words(&b, text, s, size)
		return b.String()
	}
	const pieces = 3
	for i := range pieces {
		piece := text[len(text)/pieces*i:]
		if i > 0 { // from the next word on
			piece = piece[max(0, strings.IndexByte(piece[:min(len(piece), 200)], ' ')):]
		}
		words(&b, piece, s, size*(i+1)/pieces)
	}
	return b.String()
}

// words writes the words of a script until b has the size given.
func words(b *strings.Builder, text string, s Script, size int) {
	of := scriptOf()
	space := true
	for _, r := range text {
		is := lookup(of, r) == s || r == '\'' || unicode.Is(unicode.Mn, r)
		switch {
		case is:
			b.WriteRune(unicode.ToLower(r))
		case !space:
			b.WriteByte(' ')
			if b.Len() >= size {
				return
			}
		}
		space = !is
	}
	if !space {
		b.WriteByte(' ')
	}
}
