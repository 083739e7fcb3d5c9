package tokenizer

import (
	"strings"
	"unicode/utf8"

	"github.com/gofinetune/finetune/tokenizer/internal/model"
	"github.com/gofinetune/finetune/tokenizer/internal/text"
)

// worker is the working memory of one goroutine while it encodes.
type worker struct {
	scratch model.Scratch
	before  []part
	after   []part
	pieces  []text.Text
	tokens  []model.Token
}

func (t *Tokenizer) worker() *worker {
	select {
	case w := <-t.workers:
		return w
	default:
		return &worker{}
	}
}

// release gives a worker back; one too many is left to the collector.
func (t *Tokenizer) release(w *worker) {
	select {
	case t.workers <- w:
	default:
	}
}

// Encode gives the ids of a text: no special token is added, and control tokens written in the text stay text.
// Bytes that are not UTF-8 become U+FFFD, one for each.
func (t *Tokenizer) Encode(text string) []int32 { return t.encodeIDs(text, Options{}) }

func (t *Tokenizer) encodeIDs(text string, o Options) []int32 {
	w := t.worker()
	defer t.release(w)
	ids := make([]int32, 0, len(text)/3+8)
	if o.AddSpecial {
		ids = t.post.around(ids, func(ids []int32) []int32 { return t.appendIDs(ids, w, text, o) })
	} else {
		ids = t.appendIDs(ids, w, text, o)
	}
	return ids
}

func (t *Tokenizer) matchers(o Options) matchers {
	if o.ParseControl {
		return t.all
	}
	return t.plain
}

// appendIDs encodes a text without added specials.
func (t *Tokenizer) appendIDs(dst []int32, w *worker, s string, o Options) []int32 {
	return t.appendMatched(dst, w, valid(s), t.matchers(o), nil)
}

func (t *Tokenizer) appendMatched(dst []int32, w *worker, s string, m matchers, forbid func(start, end int) bool) []int32 {
	w.before = m.before.parts(w.before[:0], s, forbid)
	for _, p := range w.before {
		if p.token != nil {
			dst = append(dst, p.token.ID)
			continue
		}
		piece := text.Text{S: s[p.start:p.end], First: p.start == 0}
		if t.track {
			piece = text.New(piece.S, p.start, true)
		}
		if t.normalizer != nil {
			piece = t.normalizer.Normalize(piece)
		}
		if m.after == nil {
			dst = t.appendPieces(dst, w, piece)
			continue
		}
		w.after = m.after.parts(w.after[:0], piece.S, nil)
		for _, q := range w.after {
			if q.token != nil {
				dst = append(dst, q.token.ID)
			} else {
				dst = t.appendPieces(dst, w, piece.Slice(q.start, q.end))
			}
		}
	}
	return dst
}

func (t *Tokenizer) appendPieces(dst []int32, w *worker, piece text.Text) []int32 {
	if t.cutter != nil {
		s := piece.S
		for i := 0; i < len(s); {
			end := t.cutter.Cut(s, i)
			dst = model.AppendIDs(t.model, dst, s[i:end], &w.scratch)
			i = end
		}
		return dst
	}
	w.pieces = t.splitter.Split(w.pieces[:0], piece)
	for _, p := range w.pieces {
		if p.S != "" {
			dst = model.AppendIDs(t.model, dst, p.S, &w.scratch)
		}
	}
	return dst
}

// valid is the text with every byte that is not UTF-8 replaced.
func valid(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		b.WriteRune(r)
	}
	return b.String()
}

// EncodeFull encodes a text with its tokens and offsets.
func (t *Tokenizer) EncodeFull(text string, o Options) Encoding {
	one := t.encodeFull(text, t.matchers(o), nil, 0)
	return t.post.process(one, nil, o.AddSpecial)
}

// EncodePair encodes two texts as one sequence, as the post-processor joins them.
func (t *Tokenizer) EncodePair(first, second string, o Options) Encoding {
	one := t.encodeFull(first, t.matchers(o), nil, 0)
	two := t.encodeFull(second, t.matchers(o), nil, 1)
	return t.post.process(one, &two, o.AddSpecial)
}

// encodeFull is appendMatched with offsets.
func (t *Tokenizer) encodeFull(s string, m matchers, forbid func(start, end int) bool, typeID int32) Encoding {
	s = valid(s)
	w := t.worker()
	defer t.release(w)
	e := &fullEncoder{t: t, w: w, typeID: typeID, points: codePoints(s)}
	for _, p := range m.before.parts(nil, s, forbid) {
		if p.token != nil {
			e.add(p.token.ID, s[p.start:p.end], text.Span{Start: int32(p.start), End: int32(p.end)})
			continue
		}
		piece := text.New(s[p.start:p.end], p.start, true)
		if t.normalizer != nil {
			piece = t.normalizer.Normalize(piece)
		}
		for _, q := range m.after.parts(nil, piece.S, nil) {
			if q.token != nil {
				e.add(q.token.ID, piece.S[q.start:q.end], piece.Origin(q.start, q.end))
			} else {
				e.pieces(piece.Slice(q.start, q.end))
			}
		}
	}
	return e.out
}

type fullEncoder struct {
	t      *Tokenizer
	w      *worker
	typeID int32
	points []int32 // the code point of each byte; nil where bytes are code points
	out    Encoding
}

func (e *fullEncoder) pieces(piece text.Text) {
	for _, p := range e.t.splitter.Split(nil, piece) {
		e.w.tokens = e.t.model.Append(e.w.tokens[:0], p.S, &e.w.scratch)
		for _, token := range e.w.tokens {
			shown := e.t.tokens[token.ID]
			if e.t.surface && e.isUnk(token.ID) {
				shown = p.S[token.Start:token.End]
			}
			e.add(token.ID, shown, p.Origin(token.Start, token.End))
		}
	}
}

func (e *fullEncoder) isUnk(id int32) bool {
	u, ok := e.t.model.(*model.Unigram)
	return ok && u.IsUnk(id)
}

func (e *fullEncoder) add(id int32, shown string, origin text.Span) {
	start, end := int(origin.Start), int(origin.End)
	if e.points != nil {
		start, end = int(e.points[start]), int(e.points[end])
	}
	e.out.IDs = append(e.out.IDs, id)
	e.out.Tokens = append(e.out.Tokens, shown)
	e.out.Offsets = append(e.out.Offsets, [2]int{start, end})
	e.out.TypeIDs = append(e.out.TypeIDs, e.typeID)
	e.out.Special = append(e.out.Special, false)
}

// codePoints numbers the code points: for each byte, and for the end, how many begin before it.
func codePoints(s string) []int32 {
	if isASCII(s) {
		return nil
	}
	points := make([]int32, len(s)+1)
	n := int32(0)
	for i := range len(s) {
		if utf8.RuneStart(s[i]) {
			points[i] = n
			n++
		} else {
			points[i] = n - 1
		}
	}
	points[len(s)] = n
	return points
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
