package quality

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// DensityScore says how much knowledge a text holds for its length: the score and the parts that it is made of. All are in
// [0, 1], more is better.
//
//	Score = Information · (0.15·Numbers + 0.2·Entities + 0.25·Terms + 0.2·Structure + 0.2·Plainness)
type DensityScore struct {
	Score float64 `json:"score"`

	// Information compares the size of the compressed text (DEFLATE) with that of running text of the same length and script:
	// repetition and templates compress too well, noise does not compress at all.
	Information float64 `json:"information"`
	// Numbers are measured values, dates and other numbers with something said of them; tables of nothing but numbers fall.
	Numbers float64 `json:"numbers"`
	// Entities are names, abbreviations, model numbers, standards and titles.
	Entities float64 `json:"entities"`
	// Terms is the share of words, or in Chinese of characters, that carry content, and of technical ones among them.
	Terms float64 `json:"terms"`
	// Structure counts headings, numbered steps, definitions, references, and words of rules (应, 不得, must).
	Structure float64 `json:"structure"`
	// Plainness falls with talk about oneself, calls to the reader, exclamations, emoji and advertising.
	Plainness float64 `json:"plainness"`
}

// String prints the score with its parts.
func (d DensityScore) String() string {
	return fmt.Sprintf("%.3f (information %.2f, numbers %.2f, entities %.2f, terms %.2f, structure %.2f, plainness %.2f)",
		d.Score, d.Information, d.Numbers, d.Entities, d.Terms, d.Structure, d.Plainness)
}

// densitySample is how much of a long text is looked at, in bytes, half of it from the beginning and half from the middle.
const densitySample = 96 << 10

// Density measures a text in Chinese or English; other languages in scripts of words are measured less well. A text of
// fewer than 20 words, or 30 characters in Chinese, says too little: its score is 0.
func Density(text string) DensityScore {
	if len(text) > densitySample {
		text = piece(text, 0, densitySample/2) + piece(text, len(text)/2, densitySample/2)
	}
	c := measure(text)
	if c.units < 20 {
		return DensityScore{}
	}
	d := DensityScore{
		Information: information(text, c),
		Numbers:     saturate(c.values+0.3*(c.numbers-c.values), 0.04*c.units) * (1 - ramp(c.numbers/(c.units+c.numbers), 0.35, 0.7)),
		Entities:    saturate(c.entities, 0.03*c.units),
		Terms:       c.terms(),
		Structure:   saturate(c.structure, 0.03*c.units),
		Plainness:   1 - ramp(c.chatter/c.units, 0, 0.12),
	}
	d.Score = d.Information * (0.15*d.Numbers + 0.2*d.Entities + 0.25*d.Terms + 0.2*d.Structure + 0.2*d.Plainness)
	return d
}

// piece is text[from:from+size], moved to whole characters.
func piece(text string, from, size int) string {
	for from < len(text) && !utf8.RuneStart(text[from]) {
		from++
	}
	to := min(len(text), from+size)
	for to < len(text) && to > from && !utf8.RuneStart(text[to]) {
		to--
	}
	return text[from:to]
}

// saturate is 0 for none, one half at half, and nears 1.
func saturate(x, half float64) float64 { return x / (x + half) }

// ramp rises from 0 at from to 1 at to.
func ramp(x, from, to float64) float64 { return min(max((x-from)/(to-from), 0), 1) }

// measures are what is counted in a text. Units are words; a Chinese word is taken for 1.6 characters.
type measures struct {
	units            float64
	han, hanFunction float64 // characters
	hanTechnical     float64
	words, function  float64
	longWords        float64
	numbers, values  float64 // runs of digits; those with a unit
	entities         float64
	structure        float64
	chatter          float64
	wide             float64 // characters of three bytes
}

// terms joins the share of content (0.5 is talk, 0.8 is dense) with that of technical words.
func (c *measures) terms() float64 {
	part := func(content, technical, often float64) float64 {
		return 0.5*ramp(content, 0.45, 0.85) + 0.5*saturate(technical, often)
	}
	score := 0.0
	if c.han > 0 {
		score += c.han / 1.6 * part(1-c.hanFunction/c.han, c.hanTechnical/c.han, 0.06)
	}
	if c.words > 0 {
		score += c.words * part(1-c.function/c.words, c.longWords/c.words, 0.12)
	}
	return score / (c.han/1.6 + c.words)
}

// measure counts.
func measure(text string) *measures {
	c := &measures{}
	start := true // of a sentence: a capital there is no name
	for rest := text; rest != ""; {
		r, size := utf8.DecodeRuneInString(rest)
		k := kindOf(r)
		switch k {
		case letter, digit:
			n := tokenLength(rest)
			c.token(rest[:n], rest[n:], start)
			size, start = n, false
		case char:
			c.character(r)
			start = false
		case mark:
			c.mark(r)
			start = start || strings.ContainsRune("。.！!？?：:\n•-\"“", r)
		case space:
			start = start || r == '\n'
		}
		rest = rest[size:]
	}
	c.units = c.han/1.6 + c.words
	c.phrases(text)
	return c
}

// tokenLength is the length of the word, number or code at the beginning of a text: letters and digits, and what joins
// them (3.5, 1,200, AX-12, GB/T, don't).
func tokenLength(text string) int {
	n := 0
	for n < len(text) {
		r, size := utf8.DecodeRuneInString(text[n:])
		switch k := kindOf(r); {
		case k == letter || k == digit:
		case n == 0 || !joins(r, text[n+size:]):
			return n
		}
		n += size
	}
	return n
}

// joins tells whether a mark joins what precedes it to the text that follows.
func joins(mark rune, after string) bool {
	k := kindOf(firstRune(after))
	switch mark {
	case ',', '.':
		return k == digit
	case '-', '/', '\'', '’':
		return k == digit || k == letter
	}
	return false
}

func (c *measures) character(r rune) {
	c.wide++
	c.han++
	switch {
	case hanFunction[r]:
		c.hanFunction++
	case hanTechnical[r]:
		c.hanTechnical++
	}
}

func (c *measures) mark(r rune) {
	switch {
	case r == '!' || r == '！' || r == '~' || r == '～':
		c.chatter++
	case unicode.Is(unicode.So, r) && r > 0x2600:
		c.chatter += 2
	case r == '《':
		c.entities++
	case r == '℃' || r == '°' || r == '%' || r == '％' || r == '‰' || r == '㎡' || r == 'Ω' || r == '±':
		c.values += 0.5
	}
}

// token counts a word, a number, or a code of both.
func (c *measures) token(word, after string, start bool) {
	var letters, capitals, digits int
	for _, r := range word {
		switch {
		case unicode.IsUpper(r):
			capitals++
			letters++
		case kindOf(r) == letter:
			letters++
		case kindOf(r) == digit:
			digits++
		}
	}
	if digits > 0 && kindOf(firstRune(word)) == digit && (letters == 0 || units[strings.ToLower(strings.TrimLeft(word, "0123456789.,-/"))]) {
		c.numbers++
		if letters > 0 || hasUnit(after) {
			c.values++
		}
		return
	}
	c.words++
	lower := strings.ToLower(word)
	switch {
	case digits > 0, capitals >= 2 && capitals*2 >= letters: // AX-12, GB/T 50210, VLAN
		c.entities++
	case capitals > 0 && !start && lower != "i" && !strings.HasPrefix(lower, "i'"):
		c.entities++
	}
	switch {
	case englishFunction[lower]:
		c.function++
		if talk[lower] {
			c.chatter++
		}
	case letters >= 9 || technicalEnding(lower):
		c.longWords++
	}
}

func firstRune(s string) rune {
	r, _ := utf8.DecodeRuneInString(s)
	return r
}

func technicalEnding(word string) bool {
	if len(word) < 6 {
		return false
	}
	for _, end := range [...]string{"tion", "sion", "ment", "ity", "ance", "ence", "ology", "metry", "meter", "valve", "ture", "sis", "ide", "ium"} {
		if strings.HasSuffix(word, end) {
			return true
		}
	}
	return false
}

// hasUnit tells whether a number is followed by a unit.
func hasUnit(after string) bool {
	after = strings.TrimPrefix(after, " ")
	if n := tokenLength(after); n > 0 {
		if r := firstRune(after); kindOf(r) == letter {
			return units[strings.ToLower(after[:n])]
		}
	}
	for _, unit := range hanUnits {
		if strings.HasPrefix(after, unit) {
			return true
		}
	}
	return false
}

// phrases counts what is more than one token: names, rules, references, headings, advertising.
func (c *measures) phrases(text string) {
	for _, p := range structurePhrases {
		c.structure += float64(strings.Count(text, p))
	}
	for _, p := range entityPhrases {
		c.entities += float64(strings.Count(text, p))
	}
	for _, p := range chatterPhrases {
		c.chatter += 1.5 * float64(strings.Count(text, p))
	}
	lower := strings.ToLower(text)
	for _, p := range englishStructure {
		c.structure += float64(strings.Count(lower, p))
	}
	for _, p := range englishChatter {
		c.chatter += 2 * float64(strings.Count(lower, p))
	}
	for line := range strings.SplitSeq(text, "\n") {
		if heading(strings.TrimSpace(line)) {
			c.structure++
		}
	}
}

// heading tells whether a line begins with a number or a mark of order: 3.2, 第三章, 一、, (2), ①, Step 4, #.
func heading(line string) bool {
	if line == "" {
		return false
	}
	trimmed := strings.TrimLeft(line, "(（第步骤图表0123456789.一二三四五六七八九十百①②③④⑤⑥⑦⑧⑨⑩")
	if n := len(line) - len(trimmed); n > 0 {
		return trimmed != "" && (strings.ContainsRune("、)）章节条款篇部.", firstRune(trimmed)) || line[n-1] == '.' ||
			firstRune(trimmed) == ' ' && strings.Contains(line[:n], ".") || firstRune(line) >= '①' && firstRune(line) <= '⑩')
	}
	return strings.HasPrefix(line, "# ") || strings.HasPrefix(line, "## ") || strings.HasPrefix(line, "### ")
}
