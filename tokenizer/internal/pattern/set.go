package pattern

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/gofinetune/finetune/tokenizer/internal/unidata"
)

// set is a set of characters: the union of its parts, intersected with others, then perhaps negated.
type set struct {
	categories unidata.Category
	ranges     [][2]rune
	predicates []func(rune) bool
	subs       []*set // nested sets, united
	and        []*set // &&, intersected
	negative   bool
	fold       bool

	ascii [2]uint64 // the answer for the first 128 characters
}

func (s *set) addRange(first, last rune) { s.ranges = append(s.ranges, [2]rune{first, last}) }

// done computes the fast table.
func (s *set) done() *set {
	s.ascii = [2]uint64{}
	for r := range rune(128) {
		if s.slow(r) {
			s.ascii[r>>6] |= 1 << (r & 63)
		}
	}
	return s
}

func (s *set) has(r rune) bool {
	if uint32(r) < 128 {
		return s.ascii[r>>6]>>(r&63)&1 != 0
	}
	return s.slow(r)
}

func (s *set) slow(r rune) bool {
	in := s.holds(r)
	if s.fold && !in {
		for f := unicode.SimpleFold(r); f != r && !in; f = unicode.SimpleFold(f) {
			in = s.holds(f)
		}
	}
	for _, other := range s.and {
		in = in && other.has(r)
	}
	return in != s.negative
}

func (s *set) holds(r rune) bool {
	if unidata.Is(r, s.categories) {
		return true
	}
	for _, x := range s.ranges {
		if x[0] <= r && r <= x[1] {
			return true
		}
	}
	for _, f := range s.predicates {
		if f(r) {
			return true
		}
	}
	for _, sub := range s.subs {
		if sub.has(r) {
			return true
		}
	}
	return false
}

// class reads a bracket expression after its "[".
func (p *parser) class() *set {
	if p.depth++; p.depth > 100 {
		p.fail("nested too deep")
	}
	defer func() { p.depth-- }()
	negative := p.accept("^")
	out := p.members(true)
	for p.accept("&&") {
		out.and = append(out.and, p.members(false).done())
	}
	if !p.accept("]") {
		p.fail("unmatched [")
	}
	out.negative = negative
	return out.done()
}

// members reads up to the "]" or "&&". A "]" in first place is a character.
func (p *parser) members(first bool) *set {
	out := &set{fold: p.fold}
	for ; ; first = false {
		switch {
		case !p.more():
			p.fail("unmatched [")
		case p.peek("&&"), p.peek("]") && !first:
			return out
		case p.accept("[:"):
			p.posix(out)
		case p.accept("["):
			out.subs = append(out.subs, p.class())
		default:
			p.member(out)
		}
	}
}

// member reads a character, an escape or a range.
func (p *parser) member(out *set) {
	low, single := p.one(out)
	if !single || !p.peek("-") || p.peek("-]") {
		if single {
			out.addRange(low, low)
		}
		return
	}
	p.i++
	if p.peek("[") { // [a-[bc]]: the minus is a character
		out.addRange(low, low)
		out.addRange('-', '-')
		return
	}
	high, single := p.one(out)
	switch {
	case !single: // [a-\s]: the minus is a character
		out.addRange(low, low)
		out.addRange('-', '-')
	case high < low:
		p.fail("a range that runs backwards")
	default:
		out.addRange(low, high)
	}
}

// one reads a character; where it was a class such as \s that is added to out, and single is false.
func (p *parser) one(out *set) (r rune, single bool) {
	if r = p.rune(); r != '\\' {
		return r, true
	}
	return p.classEscape(out)
}

var escapes = map[rune]rune{'t': '\t', 'n': '\n', 'r': '\r', 'f': '\f', 'v': '\v', 'a': '\a', 'e': 0x1B, '0': 0}

// classEscape reads an escape after its backslash into out.
func (p *parser) classEscape(out *set) (r rune, single bool) {
	negate := func(f func(rune) bool) func(rune) bool { return func(r rune) bool { return !f(r) } }
	add := func(f func(rune) bool) { out.predicates = append(out.predicates, f) }
	digit := func(r rune) bool { return unidata.Is(r, unidata.Nd) }
	hex := func(r rune) bool { return r < 0x80 && strings.ContainsRune("0123456789abcdefABCDEF", r) }
	switch c := p.rune(); c {
	case 's':
		out.categories |= unidata.White
	case 'S':
		add(negate(unidata.IsSpace))
	case 'd':
		out.categories |= unidata.Nd
	case 'D':
		add(negate(digit))
	case 'w':
		add(unidata.IsWord)
	case 'W':
		add(negate(unidata.IsWord))
	case 'h':
		add(hex)
	case 'H':
		add(negate(hex))
	case 'p', 'P':
		p.property(out, c == 'P')
	case 'x':
		return p.plain(out, p.hexEscape()), true
	case 'u':
		return p.plain(out, p.digits(4)), true
	default:
		if e, ok := escapes[c]; ok {
			c = e
		} else if c < 0x80 && (unidata.Is(c, unidata.Letter) || unidata.Is(c, unidata.Nd)) {
			p.fail("unknown escape \\" + string(c))
		}
		return p.plain(out, c), true
	}
	return 0, false
}

// plain adds a single character: outside brackets it is the whole set; inside, the caller may make a range of it.
func (p *parser) plain(out *set, r rune) rune {
	out.addRange(r, r)
	return r
}

func (p *parser) hexEscape() rune {
	if p.accept("{") {
		end := strings.IndexByte(p.s[p.i:], '}')
		if end < 0 {
			p.fail("unmatched {")
		}
		r := p.parseHex(p.s[p.i : p.i+end])
		p.i += end + 1
		return r
	}
	n := 0
	for n < 2 && p.i+n < len(p.s) && strings.IndexByte("0123456789abcdefABCDEF", p.s[p.i+n]) >= 0 {
		n++
	}
	return p.digits(n)
}

func (p *parser) digits(n int) rune {
	if p.i+n > len(p.s) {
		p.fail("ends too early")
	}
	r := p.parseHex(p.s[p.i : p.i+n])
	p.i += n
	return r
}

func (p *parser) parseHex(text string) rune {
	v, err := strconv.ParseUint(text, 16, 32)
	if err != nil || v > utf8.MaxRune {
		p.fail("a bad code point")
	}
	return rune(v)
}

func (p *parser) property(out *set, negative bool) {
	if !p.accept("{") {
		p.fail("\\p without {")
	}
	end := strings.IndexByte(p.s[p.i:], '}')
	if end < 0 {
		p.fail("unmatched {")
	}
	name := p.s[p.i : p.i+end]
	if strings.HasPrefix(name, "^") {
		name, negative = name[1:], !negative
	}
	has, ok := propertyOf(name)
	if !ok {
		p.fail("unknown property " + strconv.Quote(name))
	}
	p.i += end + 1
	switch {
	case negative:
		out.predicates = append(out.predicates, func(r rune) bool { return !has(r) })
	case groups[key(name)] != 0:
		out.categories |= groups[key(name)] // the common case, one table look-up
	default:
		out.predicates = append(out.predicates, has)
	}
}

// key folds a property's name: case, spaces, minus and underscore do not matter.
func key(name string) string {
	return strings.Map(func(r rune) rune {
		if r == ' ' || r == '_' || r == '-' {
			return -1
		}
		return unicode.ToLower(r)
	}, name)
}

var groups = map[string]unidata.Category{
	"l": unidata.Letter, "letter": unidata.Letter, "lu": unidata.Lu, "uppercaseletter": unidata.Lu, "ll": unidata.Ll,
	"lowercaseletter": unidata.Ll, "lt": unidata.Lt, "titlecaseletter": unidata.Lt, "lm": unidata.Lm,
	"modifierletter": unidata.Lm, "lo": unidata.Lo, "otherletter": unidata.Lo, "m": unidata.Mark, "mark": unidata.Mark,
	"combiningmark": unidata.Mark, "mn": unidata.Mn, "nonspacingmark": unidata.Mn, "mc": unidata.Mc,
	"spacingmark": unidata.Mc, "me": unidata.Me, "enclosingmark": unidata.Me, "n": unidata.Number, "number": unidata.Number,
	"nd": unidata.Nd, "decimalnumber": unidata.Nd, "nl": unidata.Nl, "letternumber": unidata.Nl, "no": unidata.No,
	"othernumber": unidata.No, "p": unidata.Punct, "punctuation": unidata.Punct, "punct": unidata.Punct, "pc": unidata.Pc,
	"pd": unidata.Pd, "ps": unidata.Ps, "pe": unidata.Pe, "pi": unidata.Pi, "pf": unidata.Pf, "po": unidata.Po,
	"s": unidata.Symbol, "symbol": unidata.Symbol, "sm": unidata.Sm, "sc": unidata.Sc, "sk": unidata.Sk, "so": unidata.So,
	"z": unidata.Zs | unidata.Zl | unidata.Zp, "separator": unidata.Zs | unidata.Zl | unidata.Zp, "zs": unidata.Zs,
	"zl": unidata.Zl, "zp": unidata.Zp, "cc": unidata.Cc, "cntrl": unidata.Cc, "cf": unidata.Cf, "co": unidata.Co,
	"whitespace": unidata.White, "space": unidata.White,
	"digit": unidata.Nd, "upper": unidata.Lu, "lower": unidata.Ll,
}

func propertyOf(name string) (func(rune) bool, bool) {
	k := key(name)
	if c, ok := groups[k]; ok {
		return func(r rune) bool { return unidata.Is(r, c) }, true
	}
	switch k {
	case "any":
		return func(rune) bool { return true }, true
	case "c", "other":
		return func(r rune) bool {
			c := unidata.Of(r) &^ unidata.White
			return c == 0 || c&(unidata.Cc|unidata.Cf|unidata.Co) != 0
		}, true
	case "cn", "unassigned":
		return func(r rune) bool { return unidata.Of(r) == 0 }, true
	case "word":
		return unidata.IsWord, true
	case "alpha", "alphabetic":
		return unidata.IsAlphabetic, true
	case "alnum":
		return func(r rune) bool {
			return unidata.IsAlphabetic(r) || unidata.Is(r, unidata.Nd)
		}, true
	case "han":
		return func(r rune) bool {
			return unicode.Is(unicode.Han, r) || 0x2EBF0 <= r && r <= 0x2EE5D
		}, true
	}
	for script, table := range unicode.Scripts {
		if key(script) == k {
			return func(r rune) bool { return unicode.Is(table, r) }, true
		}
	}
	return nil, false
}

// posix reads [:alpha:] after its "[:".
func (p *parser) posix(out *set) {
	negative := p.accept("^")
	end := strings.Index(p.s[p.i:], ":]")
	if end < 0 {
		p.fail("unmatched [:")
	}
	name := p.s[p.i : p.i+end]
	has, ok := propertyOf(name)
	if !ok {
		p.fail("unknown class " + strconv.Quote(name))
	}
	p.i += end + 2
	out.predicates = append(out.predicates, func(r rune) bool { return has(r) != negative })
}
