package pattern

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// pieces are what splits are made to tell apart.
var pieces = []string{"a", "B", "é", "e\u0301", "ß", "İ", "ſ", "'s", "'S", "'ſ", "'ll", "'RE", "'", "’", " ", "  ", "\t", "\n", "\r\n", "\r",
	"\u00a0", "\u3000", "\u2028", "0", "12", "345", "6789", "²", "٣", "Ⅷ", "中", "漢字", "，", "。", "カ", "ひ", "한", "ᄒ", "ا", "क्", "😀", "👩‍💻", "ﬁ", "①",
	"—", "_", "/", "//", "\\", "@", ".", "!", "x=1;", "{", "\x00", "\x85", "\u0301", "Ǆ", "ǅ", "ʰ", "\U0001d400", "camelCase", "HTTPServer"}

func drawText(t *rapid.T) string {
	return strings.Join(rapid.SliceOfN(rapid.SampledFrom(pieces), 0, 12).Draw(t, "pieces"), "")
}

// TestHandWrittenSplitsAreTheirPatterns holds each hand-written split to the pattern that it stands for.
func TestHandWrittenSplitsAreTheirPatterns(t *testing.T) {
	for source, finder := range known {
		compiled, err := Compile(source)
		require.NoError(t, err, source)
		rapid.Check(t, func(t *rapid.T) {
			s := drawText(t)
			want, got := cut(Pattern{compiled}, s), cut(Pattern{finder}, s)
			if strings.Join(want, "|") != strings.Join(got, "|") {
				t.Fatalf("%s\non %q: %q; want %q", source, s, got, want)
			}
		})
	}
}

func FuzzSplits(f *testing.F) {
	for _, s := range pieces {
		f.Add(s + " it's  12345\r\n\n")
	}
	compiled := map[string]*Regexp{}
	for source := range known {
		re, err := Compile(source)
		require.NoError(f, err)
		compiled[source] = re
	}
	f.Fuzz(func(t *testing.T, s string) {
		s = strings.ToValidUTF8(s, "\uFFFD")
		for source, re := range compiled {
			want, got := cut(Pattern{re}, s), cut(Pattern{known[source]}, s)
			require.Equal(t, want, got, source)
			require.Equal(t, s, strings.Join(got, ""))
		}
	})
}

func cut(p Pattern, s string) []string {
	out := []string{}
	for _, m := range p.Matches(s) {
		out = append(out, s[m.Start:m.End])
	}
	return out
}

func TestEngine(t *testing.T) {
	for _, tt := range []struct{ pattern, text, want string }{
		{`a|ab`, "abab", "a·b·a·b"},                         // the first alternative wins, not the longest
		{`(?:a|ab)(?:c|bcd)`, "abcd", "abcd"},               // and is given up when the rest fails
		{`\s+(?!\S)|\s+`, "a  b ", "a· · ·b· "},             // look-ahead
		{`(?<=a)b`, "abb", "a·b·b"},                         // look-behind
		{`(?<!a)b`, "abb", "ab·b"},                          //
		{`x*+x`, "xxx", "xxx"},                              // possessive: never gives back, so no match
		{`(?>a|ab)c`, "abc", "abc"},                         // atomic
		{`a{2,3}`, "aaaaa", "aaa·aa"},                       //
		{`a{2,3}?`, "aaaaa", "aa·aa·a"},                     // lazy
		{`a{,2}b`, "aaab", "a·aab"},                         //
		{`a{x}`, "a{x}", "a{x}"},                            // plain text
		{`[^(\s|[.,])]+`, "ab(c.d e", "ab·(·c·.·d· ·e"},     // a set inside a set is united with it
		{`[a-z&&[^aeiou]]+`, "hello", "h·e·ll·o"},           // intersection
		{`[]a]+`, "a]b", "a]·b"},                            // ] in first place
		{`[a\-z]+`, "a-z", "a-z"},                           //
		{`[[:digit:]x]+`, "1x2y", "1x2·y"},                  //
		{`(?i:s)`, "sSſt", "s·S·ſ·t"},                       // a long s is an s
		{`(?i)é`, "éÉ", "é·É"},                              //
		{`^a|b$`, "a\nab\nb", "a·\n·a·b·\n·b"},              // of lines
		{`\Aa|a\z`, "aaa", "a·a·a"},                         // of the text
		{`.`, "a\nb", "a·\n·b"},                             //
		{`(?m:.)+`, "a\nb", "a\nb"},                         // m: the dot matches a newline
		{`\p{Han}+|\p{^Han}+`, "ab中文c", "ab·中文·c"},          //
		{`\P{L}+`, "a12b", "a·12·b"},                        //
		{`\p{Lu}\p{Ll}+`, "HelloWorld", "Hello·World"},      //
		{`\bfoo\b`, "foo foobar", "foo· foobar"},            //
		{`\x{4e2d}|\x41|\u0042`, "中AB", "中·A·B"},            //
		{`(a*)*b`, "aab", "aab"},                            // an empty round ends the loop
		{`(?:a|(?:))+c`, "aac", "aac"},                      //
		{`(?#comment)a`, "ba", "b·a"},                       //
		{`(?<name>a)(b)`, "ab", "ab"},                       //
		{`\h+`, "xfF0", "x·fF0"},                            // hexadecimal digits
		{` ?\w+`, "a b²", "a· b²"},                          //
		{`(?=a)`, "aaa", "aaa"},                             // empty matches cut nothing
		{`(?:(?=a)a|b)(?i:A)`, "aAba", "aA·ba"},             //
		{`[\s\S]`, "a\n", "a·\n"},                           //
		{`[^\S\n]+`, "a \tb\n c", "a· \t·b\n· ·c"},          // a class inside a negated set
		{`\d{1,3}(?=(?:\d{3})*\b)`, "1234567", "1·234·567"}, // groups of three from the right
	} {
		re, err := Compile(tt.pattern)
		require.NoError(t, err, tt.pattern)
		assert.Equal(t, tt.want, strings.Join(cut(Pattern{re}, tt.text), "·"), tt.pattern)
	}
}

// TestEngineAgreesWithGo compares where both know the syntax.
func TestEngineAgreesWithGo(t *testing.T) {
	for _, source := range []string{`(?:a|ab)*?c`, `(?:aa|a)*b?`, `[ab]{1,3}c|b+`, `(?:a*b)+|c`, `a(?:b|c|)d?`, `(?:ab?){2}`, `(a+)+b|c`} {
		mine, err := Compile(source)
		require.NoError(t, err)
		other := regexp.MustCompile(source)
		rapid.Check(t, func(t *rapid.T) {
			s := rapid.StringMatching(`[abcd]{0,12}`).Draw(t, "s")
			want := other.FindAllString(s, -1)
			var got []string
			for _, m := range (Pattern{mine}).Matches(s) {
				if m.Hit {
					got = append(got, s[m.Start:m.End])
				}
			}
			nonEmpty := want[:0]
			for _, w := range want {
				if w != "" {
					nonEmpty = append(nonEmpty, w)
				}
			}
			if strings.Join(nonEmpty, "|") != strings.Join(got, "|") {
				t.Fatalf("%s on %q: %q; want %q", source, s, got, nonEmpty)
			}
		})
	}
}

func TestSyntaxErrors(t *testing.T) {
	for _, tt := range []struct{ pattern, want string }{
		{`(a`, "unmatched ("}, {`a)`, "unmatched )"}, {`[a`, "unmatched ["}, {`*a`, "nothing to repeat"}, {`\`, "ends too early"},
		{`a{5,2}`, "out of range"}, {`a{99999}`, "out of range"}, {`\p{Nonsense}`, "unknown property"}, {`(a)\1`, "back-reference"},
		{`[z-a]`, "backwards"}, {`(?<=a+)b`, "variable length"}, {`(?x:a)`, "unknown option"}, {`\q`, "unknown escape"},
		{strings.Repeat("(", 500), "too deep"}, {`(((((a{900}){900}){900}){900}){900})`, "too large"},
	} {
		_, err := Compile(tt.pattern)
		assert.ErrorContains(t, err, tt.want, tt.pattern)
	}
}

// TestHostilePatternsEnd: patterns that take exponential time in a plain backtracking engine. The bound tells seconds from
// centuries, also on a busy machine.
func TestHostilePatternsEnd(t *testing.T) {
	for _, source := range []string{`(a+)+b`, `(a|a)*b`, `(a|aa)+$c`, `(a*)*b`, `(?:(?:a?){20}a{20})+b`, `(a+)+(?=b)`, `((a+)+)+?b`, `0$+++++++`, `(?>(?>(?>a*)*)*)*b`, `(?=(?=(?=a*)a*)a*)*b`, `a*b|a`} {
		re, err := Compile(source)
		require.NoError(t, err)
		start := time.Now()
		cut(Pattern{re}, strings.Repeat("a", 10_000))
		assert.Less(t, time.Since(start), 30*time.Second, source)
	}
}

func FuzzCompile(f *testing.F) {
	for source := range known {
		f.Add(source, "it's 123 中文\n")
	}
	for _, source := range []string{`(a+)+b`, `[^(\s|[.,])]+`, `(?<=a)b{2,3}?`, `[a-z&&[^b]]`, `(?i:\p{Lu}|\x{41})`} {
		f.Add(source, "aab")
	}
	f.Fuzz(func(t *testing.T, source, s string) {
		if len(source) > 200 || len(s) > 200 {
			return
		}
		re, err := Compile(source) // an error, never a panic
		if err != nil {
			return
		}
		s = strings.ToValidUTF8(s, "")
		require.Equal(t, s, strings.Join(cut(Pattern{re}, s), ""))
	})
}

func BenchmarkSplits(b *testing.B) {
	s := strings.Repeat("The quick brown fox jumps over 12 lazy dogs, isn't it?\n敏捷的棕色狐狸跳过了懒狗。  ", 500)
	for _, bench := range []struct {
		name   string
		finder Finder
	}{{"gpt2", known[GPT2]}, {"qwen2", words{letter, 1}}, {"o200k", cased{true, 3, "\r\n/"}}, {"engine", mustCompile(GPT2)}} {
		b.Run(bench.name, func(b *testing.B) {
			b.SetBytes(int64(len(s)))
			for b.Loop() {
				Pattern{bench.finder}.Each(s, func(int, int, bool) {})
			}
		})
	}
}

func mustCompile(source string) *Regexp {
	re, err := Compile(source)
	if err != nil {
		panic(err)
	}
	return re
}
