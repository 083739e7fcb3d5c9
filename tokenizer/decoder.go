package tokenizer

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/gofinetune/finetune/tokenizer/internal/bytelevel"
	"github.com/gofinetune/finetune/tokenizer/internal/fault"
	"github.com/gofinetune/finetune/tokenizer/internal/pattern"
	"github.com/gofinetune/finetune/tokenizer/internal/spec"
)

// decoder turns the tokens of a sequence into pieces of text, which are then joined. It may change the slice.
type decoder interface {
	decode(tokens []string) []string
}

type decoderFunc func([]string) []string

func (f decoderFunc) decode(tokens []string) []string { return f(tokens) }

type decoderSequence []decoder

func (s decoderSequence) decode(tokens []string) []string {
	for _, d := range s {
		tokens = d.decode(tokens)
	}
	return tokens
}

type decoderConfig struct {
	Decoders    []spec.Raw      `json:"decoders"`
	Pattern     *pattern.Config `json:"pattern"`
	Content     string          `json:"content"`
	Start       int             `json:"start"`
	Stop        int             `json:"stop"`
	Prefix      string          `json:"prefix"`
	Suffix      string          `json:"suffix"`
	Cleanup     *bool           `json:"cleanup"`
	Replacement string          `json:"replacement"`
	Scheme      string          `json:"prepend_scheme"`
	PrefixSpace *bool           `json:"add_prefix_space"`
	PadToken    *string         `json:"pad_token"`
	Delimiter   *string         `json:"word_delimiter_token"`
}

// parseDecoder reads a decoder; null gives nil, which joins tokens with spaces.
func parseDecoder(raw spec.Raw, field string) (decoder, error) {
	if spec.IsNull(raw) {
		return nil, nil
	}
	kind, err := spec.Kind(raw, field)
	if err != nil {
		return nil, err
	}
	var c decoderConfig
	if err := spec.Decode(raw, field, &c); err != nil {
		return nil, err
	}
	switch kind {
	case "Sequence":
		return parseDecoders(c.Decoders, field+".decoders")
	case "ByteLevel":
		return byteLevelDecoder{}, nil
	case "ByteFallback":
		return decoderFunc(joinByteTokens), nil
	case "Fuse":
		return decoderFunc(func(tokens []string) []string { return []string{strings.Join(tokens, "")} }), nil
	case "Replace":
		return replaceDecoder(c, field)
	case "Strip":
		return stripDecoder(c), nil
	case "Metaspace":
		keep := c.Scheme == "never" || c.PrefixSpace != nil && !*c.PrefixSpace
		return metaspaceDecoder(orText(c.Replacement, "▁"), keep), nil
	case "WordPiece":
		return wordPieceDecoder(c.Prefix, orTrue(c.Cleanup)), nil
	case "BPEDecoder":
		return suffixDecoder(c.Suffix), nil
	case "CTC":
		return ctcDecoder(orDefault(c.PadToken, "<pad>"), orDefault(c.Delimiter, "|"), orTrue(c.Cleanup)), nil
	}
	return nil, fault.New(fault.BadValue, field+".type", "unknown decoder %q", kind)
}

func parseDecoders(raws []spec.Raw, field string) (decoder, error) {
	var out decoderSequence
	for i, raw := range raws {
		d, err := parseDecoder(raw, spec.Index(field, i))
		if err != nil {
			return nil, err
		}
		if d != nil {
			out = append(out, d)
		}
	}
	if len(out) == 1 {
		return out[0], nil
	}
	return out, nil
}

func orText(s, value string) string {
	if s == "" {
		return value
	}
	return s
}

// byteLevelDecoder turns characters of the byte-level alphabet into bytes. A token with another character stands for
// its own bytes.
type byteLevelDecoder struct{}

func (byteLevelDecoder) decode(tokens []string) []string {
	var out []byte
	for _, token := range tokens {
		raw, ok := bytelevel.Raw(out, token)
		if ok {
			out = raw
		} else {
			out = append(out, token...)
		}
	}
	return []string{lossy(out)}
}

// lossy reads UTF-8; the start of a character that does not go on becomes one U+FFFD.
func lossy(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	var out strings.Builder
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n == 1 {
			n = brokenLen(b)
		}
		out.WriteRune(r)
		b = b[n:]
	}
	return out.String()
}

// brokenLen is the length of the longest start of a character at the front of b, which is no whole character.
func brokenLen(b []byte) int {
	for n := 1; n < min(len(b), utf8.UTFMax); n++ {
		if !startsRune(b[:n+1]) {
			return n
		}
	}
	return min(len(b), 3)
}

// startsRune tells whether b, of two or three bytes, is the start of some character.
func startsRune(b []byte) bool {
	if b[0] < 0xC2 || b[0] > 0xF4 || b[1]&0xC0 != 0x80 {
		return false
	}
	switch {
	case b[0] == 0xE0 && b[1] < 0xA0, b[0] == 0xED && b[1] > 0x9F, b[0] == 0xF0 && b[1] < 0x90, b[0] == 0xF4 && b[1] > 0x8F:
		return false
	case b[0] < 0xE0: // two bytes would be whole
		return false
	case b[0] < 0xF0:
		return len(b) == 2
	}
	return len(b) == 2 || len(b) == 3 && b[2]&0xC0 == 0x80
}

// joinByteTokens turns runs of tokens such as <0xE4> into text, or each into U+FFFD where they are not UTF-8.
func joinByteTokens(tokens []string) []string {
	var out []string
	var run []byte
	flush := func() {
		switch {
		case len(run) == 0:
		case utf8.Valid(run):
			out = append(out, string(run))
		default:
			for range run {
				out = append(out, "\uFFFD")
			}
		}
		run = run[:0]
	}
	for _, token := range tokens {
		if b, ok := byteToken(token); ok {
			run = append(run, b)
			continue
		}
		flush()
		out = append(out, token)
	}
	flush()
	return out
}

func byteToken(token string) (byte, bool) {
	if len(token) != 6 || !strings.HasPrefix(token, "<0x") || token[5] != '>' {
		return 0, false
	}
	b, err := strconv.ParseUint(token[3:5], 16, 8)
	return byte(b), err == nil
}

func replaceDecoder(c decoderConfig, field string) (decoder, error) {
	if c.Pattern == nil {
		return nil, fault.New(fault.MissingField, field+".pattern", "is missing")
	}
	p, err := c.Pattern.Compile(field + ".pattern")
	if err != nil {
		return nil, err
	}
	return decoderFunc(func(tokens []string) []string {
		for i, token := range tokens {
			var b strings.Builder
			for _, m := range p.Matches(token) {
				if m.Hit {
					b.WriteString(c.Content)
				} else {
					b.WriteString(token[m.Start:m.End])
				}
			}
			tokens[i] = b.String()
		}
		return tokens
	}), nil
}

// stripDecoder takes up to Start characters off the front of each token and up to Stop off its end.
func stripDecoder(c decoderConfig) decoder {
	return decoderFunc(func(tokens []string) []string {
		for i, token := range tokens {
			for n := 0; n < c.Start && c.Content != "" && strings.HasPrefix(token, c.Content); n++ {
				token = token[len(c.Content):]
			}
			for n := 0; n < c.Stop && c.Content != "" && strings.HasSuffix(token, c.Content); n++ {
				token = token[:len(token)-len(c.Content)]
			}
			tokens[i] = token
		}
		return tokens
	})
}

// metaspaceDecoder turns marks into spaces; those of the first token vanish unless keep.
func metaspaceDecoder(mark string, keep bool) decoder {
	return decoderFunc(func(tokens []string) []string {
		for i, token := range tokens {
			space := " "
			if i == 0 && !keep {
				space = ""
			}
			tokens[i] = strings.ReplaceAll(token, mark, space)
		}
		return tokens
	})
}

func wordPieceDecoder(prefix string, cleanup bool) decoder {
	return decoderFunc(func(tokens []string) []string {
		for i, token := range tokens {
			if i > 0 {
				if rest, ok := strings.CutPrefix(token, prefix); ok {
					token = rest
				} else {
					token = " " + token
				}
			}
			if cleanup {
				token = cleanUp(token)
			}
			tokens[i] = token
		}
		return tokens
	})
}

var cleanUps = []string{" .", ".", " ?", "?", " !", "!", " ,", ",", " ' ", "'", " n't", "n't", " 'm", "'m", " do not", " don't", " 's", "'s", " 've", "'ve", " 're", "'re"}

// cleanUp takes the spaces before punctuation out, one rule after the other.
func cleanUp(s string) string {
	for i := 0; i < len(cleanUps); i += 2 {
		s = strings.ReplaceAll(s, cleanUps[i], cleanUps[i+1])
	}
	return s
}

func suffixDecoder(suffix string) decoder {
	suffix = orText(suffix, "</w>")
	return decoderFunc(func(tokens []string) []string {
		for i, token := range tokens {
			space := " "
			if i == len(tokens)-1 {
				space = ""
			}
			tokens[i] = strings.ReplaceAll(token, suffix, space)
		}
		return tokens
	})
}

func ctcDecoder(pad, delimiter string, cleanup bool) decoder {
	return decoderFunc(func(tokens []string) []string {
		var out []string
		for i, token := range tokens {
			if i > 0 && token == tokens[i-1] || token == pad {
				continue
			}
			if cleanup {
				token = strings.ReplaceAll(cleanUp(token), delimiter, " ")
			}
			if token != "" {
				out = append(out, token)
			}
		}
		return out
	})
}
