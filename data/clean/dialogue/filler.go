package dialogue

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/gofinetune/finetune/tokenizer"
)

// Fillers says which words are stripped, and what shows that their characters are part of something else.
type Fillers struct {
	Keep  bool     `json:"keep"`  // strip nothing
	Words []string `json:"words"` // nil means DefaultFillers
	Roles []string `json:"roles"` // of the messages; nil means user and assistant

	// Particles are fillers that close a sentence as its particle (好啊): at the end they are stripped only after
	// punctuation. nil means DefaultParticles.
	Particles []string `json:"particles"`

	// Lexicon lists words that hold a filler or a part of one (呃逆, 额外): a filler is never cut out of them. They are added
	// to those that are known.
	Lexicon []string `json:"lexicon"`
}

// DefaultFillers are stripped where no others are given.
var DefaultFillers = []string{"嗯嗯", "啊啊", "呃", "那个那个", "额额", "嗯", "啊", "哦哦", "唔", "哎呀", "呃呃", "唔唔", "诶诶", "那个啥", "这个这个", "就是就是"}

// DefaultParticles are the fillers among [DefaultFillers] that also close sentences.
var DefaultParticles = []string{"啊"}

// lexicon holds words of which a filler is only a part. 呃 is also the Cantonese "to cheat", 唔 the Cantonese "not".
var lexicon = strings.Fields(`
	呃逆 呃气 呃酸 呃人 呃钱 呃錢 呃秤 打呃 嗯哼 啊哈 啊呀 啊哟 啊唷 哎呀呀
	额头 额外 额度 额定 额角 额骨 额叶 额面 额手 额济纳 额尔 额敏 额比 额驸 金额 总额 差额 余额 名额 税额 定额 超额 限额 全额 数额 份额 面额 满额 足额 前额 匾额 巨额 大额 小额 高额 低额
	唔该 唔該 唔使 唔驶 唔好 唔系 唔係 唔知 唔要 唔得 唔想 唔会 唔會 唔可 唔同 唔见 唔見 唔够 唔夠 唔肯 唔敢 唔再 唔理 唔去 唔识 唔識 唔明 唔啱 唔止 咿唔 支唔`)

// places are nouns that hardly stand without a name before them: what precedes one is a name, if what follows shows that
// the noun is at its end (湖的, 镇在).
const (
	places    = "湖河江溪潭湾岛屿峰岭山镇乡县州村寨屯庄路街巷弄桥寺庙阁轩苑斋牌"
	afterName = "的在是有和与及跟到去离从旁附那这哪怎什能可要会吗呢么"
	naming    = "叫姓喊念读称：:" // a verb of naming or a colon, before what is meant
)

// fillers strips filler words.
type fillers struct {
	roles     []string
	words     [][]rune // longest first
	particles map[string]bool
	lexicon   map[rune][][]rune // words by each of their characters
}

func newFillers(cfg Fillers, problems *[]error) *fillers {
	f := &fillers{roles: cfg.Roles, particles: map[string]bool{}, lexicon: map[rune][][]rune{}}
	checkRoles(cfg.Roles, "Fillers.Roles", problems)
	words := cfg.Words
	if words == nil {
		words = DefaultFillers
	}
	for i, word := range words {
		f.words = append(f.words, []rune(word))
		if word == "" || strings.ContainsFunc(word, func(r rune) bool { return !unicode.IsLetter(r) }) {
			problem(problems, fmt.Sprintf("Fillers.Words[%d]", i), "is %q; want letters alone", word)
		}
	}
	slices.SortStableFunc(f.words, func(a, b []rune) int { return cmp.Compare(len(b), len(a)) })
	particles := cfg.Particles
	if particles == nil {
		particles = DefaultParticles
	}
	for _, word := range particles {
		f.particles[word] = true
	}
	for _, word := range slices.Concat(lexicon, cfg.Lexicon) {
		runes := []rune(word)
		for i, r := range runes {
			if !slices.Contains(runes[:i], r) {
				f.lexicon[r] = append(f.lexicon[r], runes)
			}
		}
	}
	return f
}

// strip takes the fillers out of the messages and reports each.
func (f *fillers) strip(messages []tokenizer.Message, report *Report) {
	for i := range messages {
		if !spoken(messages[i], f.roles) {
			continue
		}
		spokenTexts(&messages[i], i, func(field, text string) string {
			runes := []rune(text)
			found := f.find(runes)
			if len(found) == 0 {
				return text
			}
			rest := without(runes, found)
			if !strings.ContainsFunc(rest, func(r rune) bool { return !separates(r) }) {
				report.add(RuleOnly, field, 0, text, "left as it is: it may be an answer")
				return text
			}
			for _, s := range found {
				report.add(RuleFiller, field, s.from, string(runes[s.from:s.to]), "")
			}
			return rest
		})
	}
}

// span is a stretch of a text, in code points.
type span struct{ from, to int }

// find lists the fillers of a text in order.
func (f *fillers) find(text []rune) (found []span) {
	for from := 0; from < len(text); {
		to := from
		for to < len(text) && !separates(text[to]) {
			to++
		}
		found = append(found, f.clause(text, from, to)...)
		from = to + 1
	}
	return found
}

// without takes the fillers found out of a text, and the punctuation that would be left over.
func without(text []rune, found []span) string {
	var b strings.Builder
	at := 0
	for i := 0; i < len(found); i++ {
		run := found[i] // fillers that only pauses part go together: 嗯嗯，啊啊，多少钱
		for i+1 < len(found) && !slices.ContainsFunc(text[run.to:found[i+1].from], func(r rune) bool { return !pauses(r) }) {
			i++
			run.to = found[i].to
		}
		run = tidy(text, run)
		b.WriteString(string(text[at:max(at, run.from)]))
		at = max(at, run.to)
	}
	b.WriteString(string(text[at:]))
	return b.String()
}

// clause finds the fillers of text[from:to], which stands between punctuation: one that is the whole clause, and those at
// a side where a sentence begins or ends.
func (f *fillers) clause(text []rune, from, to int) (found []span) {
	at := from
	for n := f.prefix(text, at, to); n > 0; n = f.prefix(text, at, to) {
		found = append(found, span{at, at + n})
		at += n
	}
	if at == to {
		return found
	}
	if !opens(text, from) || !standsAlone(text, at, to) {
		at, found = from, nil
	}
	if !closes(text, to) {
		return found
	}
	first := len(found)
	for n := f.suffix(text, at, to); n > 0; n = f.suffix(text, at, to) {
		found = slices.Insert(found, first, span{to - n, to})
		to -= n
	}
	if to > 0 && strings.ContainsRune(naming, text[to-1]) {
		return found[:first]
	}
	return found
}

// prefix is the length of the longest filler at text[lo:hi] that is no part of a word; 0 for none.
func (f *fillers) prefix(text []rune, lo, hi int) int {
	for _, w := range f.words {
		end := lo + len(w)
		if end <= hi && slices.Equal(text[lo:end], w) && !f.inWord(text, lo, end) && !letters(text, end-1) {
			return len(w)
		}
	}
	return 0
}

// suffix is the length of the longest filler at the end of text[lo:hi] that is no part of a word; 0 for none.
func (f *fillers) suffix(text []rune, lo, hi int) int {
	for _, w := range f.words {
		start := hi - len(w)
		switch {
		case start <= lo || !slices.Equal(text[start:hi], w):
		case f.particles[string(w)] || f.inWord(text, start, hi) || letters(text, start-1):
		default:
			return len(w)
		}
	}
	return 0
}

// standsAlone tells whether text[at:to] can stand without what precedes it: it begins with no noun that needs a name.
func standsAlone(text []rune, at, to int) bool {
	return !strings.ContainsRune(places, text[at]) || at+1 < to && !strings.ContainsRune(afterName, text[at+1])
}

// inWord tells whether a word of the lexicon reaches over a side of text[start:end].
func (f *fillers) inWord(text []rune, start, end int) bool {
	for i := start; i < end; i++ {
		for _, w := range f.lexicon[text[i]] {
			for at := max(0, i-len(w)+1); at <= i && at+len(w) <= len(text); at++ {
				if (at < start || at+len(w) > end) && slices.Equal(text[at:at+len(w)], w) {
					return true
				}
			}
		}
	}
	return false
}

// letters tells whether text[i] and the character after it are letters of one word of an alphabet.
func letters(text []rune, i int) bool {
	return i >= 0 && i+1 < len(text) && alphabetic(text[i]) && alphabetic(text[i+1])
}

func alphabetic(r rune) bool { return unicode.IsLetter(r) && !unicode.Is(unicode.Han, r) || r == '\'' }

// separates tells whether a character stands between clauses. Quotes, brackets and colons do not: what follows them is
// meant, as in 他说：嗯嗯.
func separates(r rune) bool { return pauses(r) || ends(r) || r == '.' }

// pauses are separators that end nothing, and are left over where a filler goes.
func pauses(r rune) bool {
	return unicode.IsSpace(r) && r != '\n' || strings.ContainsRune("，、,…～~—-", r)
}

// ends tells whether a separator ends a sentence.
func ends(r rune) bool { return strings.ContainsRune("。！？!?\n；;", r) }

// opens tells whether a sentence begins at text[at], pauses aside.
func opens(text []rune, at int) bool {
	for at > 0 && pauses(text[at-1]) {
		at--
	}
	return at == 0 || ends(text[at-1])
}

// closes tells whether a sentence ends at text[at], pauses aside.
func closes(text []rune, at int) bool {
	for at < len(text) && pauses(text[at]) {
		at++
	}
	return at == len(text) || ends(text[at]) || text[at] == '.'
}

// tidy widens a run of fillers that stands between punctuation by what would be left over of it: the pause after it; at
// the end of a sentence the pause before it; and the mark of a sentence that was nothing but fillers.
func tidy(text []rune, run span) span {
	if run.from > 0 && !separates(text[run.from-1]) || run.to < len(text) && !separates(text[run.to]) {
		return run
	}
	begins := opens(text, run.from)
	for run.to < len(text) && pauses(text[run.to]) {
		run.to++
	}
	switch {
	case run.to < len(text) && !separates(text[run.to]):
	case begins:
		line := run.from == 0 || text[run.from-1] == '\n'
		for run.to < len(text) && separates(text[run.to]) && (line || text[run.to] != '\n') {
			run.to++
		}
	default:
		for run.from > 0 && pauses(text[run.from-1]) {
			run.from--
		}
	}
	return run
}
