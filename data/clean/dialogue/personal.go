package dialogue

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/gofinetune/finetune/tokenizer"
)

// Kind is a kind of personal data, and the name of the rule in reports.
type Kind string

// The kinds that are found.
const (
	Phone    Kind = "phone"     // a Chinese mobile number, +86 or not, or a landline with its area code
	IDCard   Kind = "id_card"   // a Chinese identity number of 18 digits whose date and check digit hold (GB 11643-1999)
	Email    Kind = "email"     // an address with a host of at least two parts
	BankCard Kind = "bank_card" // 15 to 19 digits with a card's first digits that satisfy Luhn's formula
)

// Personal says which personal data are masked, in every text of every message.
type Personal struct {
	Keep bool            `json:"keep"` // mask nothing
	Only []Kind          `json:"only"` // nil means all kinds
	With map[Kind]string `json:"with"` // what stands in their place; a kind that is missing means [电话], [身份证号], [邮箱], [银行卡号]
}

var masks = map[Kind]string{Phone: "[电话]", IDCard: "[身份证号]", Email: "[邮箱]", BankCard: "[银行卡号]"}

type masker struct {
	only map[Kind]bool
	with map[Kind]string
}

func newMasker(cfg Personal, problems *[]error) *masker {
	m := &masker{only: map[Kind]bool{}, with: map[Kind]string{}}
	for kind, with := range masks {
		m.with[kind], m.only[kind] = with, cfg.Only == nil || slices.Contains(cfg.Only, kind)
	}
	for i, kind := range cfg.Only {
		if masks[kind] == "" {
			problem(problems, fmt.Sprintf("Personal.Only[%d]", i), "is %q; want phone, id_card, email or bank_card", kind)
		}
	}
	for kind, with := range cfg.With {
		if masks[kind] == "" {
			problem(problems, "Personal.With", "has the key %q; want phone, id_card, email or bank_card", kind)
		}
		m.with[kind] = with
	}
	return m
}

// mask puts the placeholders in the place of personal data.
func (m *masker) mask(messages []tokenizer.Message, report *Report) {
	for i := range messages {
		allTexts(&messages[i], i, func(field, text string) string {
			if !worthLooking(text) {
				return text
			}
			return m.text(text, func(kind Kind, at int, value string) {
				report.add(string(kind), field, at, ends2(value), "")
			})
		})
	}
}

// worthLooking tells whether a text has an @, or as many digits as the shortest number that is masked: most have neither.
func worthLooking(text string) bool {
	const fewest = 10 // a landline with its area code
	digits := 0
	for _, r := range text {
		switch {
		case r == '@' || r == '＠':
			return true
		case r >= '0' && r <= '9' || r >= '０' && r <= '９':
			if digits++; digits == fewest {
				return true
			}
		}
	}
	return false
}

// ends2 shows the first and the last character of a value alone: a report must not hold what the text must not.
func ends2(value string) string {
	r := []rune(value)
	return string(r[:1]) + strings.Repeat("*", max(len(r)-2, 0)) + string(r[len(r)-1:])
}

// found is a piece of personal data as code points of a text.
type found struct {
	span
	kind Kind
}

func (m *masker) text(text string, tell func(kind Kind, at int, value string)) string {
	plain, runes := narrow(text)
	all := slices.Concat(m.emails(plain), m.numbers(plain))
	slices.SortStableFunc(all, func(a, b found) int { return cmp.Compare(a.from, b.from) })
	var b strings.Builder
	at := 0
	for _, f := range all {
		if f.from < at { // inside an e-mail address
			continue
		}
		tell(f.kind, f.from, string(runes[f.from:f.to]))
		b.WriteString(string(runes[at:f.from]) + m.with[f.kind])
		at = f.to
	}
	if at == 0 {
		return text
	}
	return b.String() + string(runes[at:])
}

// narrow writes a text as one byte for each code point: full-width digits and signs as ASCII, ASCII as it is, other
// letters as 0x80, anything else as 0xff. So offsets are those of code points.
func narrow(text string) (string, []rune) {
	runes := []rune(text)
	plain := make([]byte, len(runes))
	for i, r := range runes {
		if r >= '！' && r <= '～' { // the full-width forms, in the order of ASCII
			r -= '！' - '!'
		}
		switch {
		case r < 0x80:
			plain[i] = byte(r)
		case r == '\u00a0' || r == '\u3000':
			plain[i] = ' '
		case r >= '‐' && r <= '―' || r == '−':
			plain[i] = '-'
		case unicode.IsLetter(r):
			plain[i] = 0x80
		default:
			plain[i] = 0xff
		}
	}
	return string(plain), runes
}

func (m *masker) emails(plain string) (all []found) {
	if !m.only[Email] || !strings.Contains(plain, "@") {
		return nil
	}
	for at := 0; at < len(plain); at++ {
		if plain[at] != '@' {
			continue
		}
		from, to := at, at+1
		for from > 0 && (alnum(plain[from-1]) || strings.IndexByte("._%+-", plain[from-1]) >= 0) {
			from--
		}
		for from < at && !alnum(plain[from]) && plain[from] != '_' {
			from++
		}
		for to < len(plain) && (alnum(plain[to]) || plain[to] == '.' || plain[to] == '-') {
			to++
		}
		for to > at+1 && !alnum(plain[to-1]) {
			to--
		}
		host := plain[at+1 : to]
		dot := strings.LastIndexByte(host, '.')
		if from < at && dot > 0 && len(host)-dot > 2 && !strings.Contains(host, "..") && !strings.ContainsAny(host[dot+1:], "0123456789") {
			all = append(all, found{span{from, to}, Email})
		}
	}
	return all
}

// runs are digits, in groups that single spaces or hyphens part, with a + before and an X behind.
var runs = regexp.MustCompile(`\+?\(?[0-9][0-9)]*(?:[ -]\(?[0-9]+\)?)*[xX]?`)

// numbers finds the kinds that are made of digits. Groups that stand side by side are one number where they can be, and
// several where not: 13812345678 2024年.
func (m *masker) numbers(plain string) (all []found) {
	for _, run := range runs.FindAllStringIndex(plain, -1) {
		from, to := run[0], run[1]
		if from > 1 && plain[from-1] == '.' && digit(plain[from-2]) {
			continue // the decimals of a number
		}
		if from > 0 && letter(plain[from-1]) && to < len(plain) && letter(plain[to]) {
			continue // in the middle of an identifier
		}
		if to+1 < len(plain) && plain[to] == '.' && digit(plain[to+1]) {
			continue // the whole part of a number
		}
		all = append(all, m.run(plain, from, to)...)
	}
	return all
}

// run looks for personal data in the groups of one run, the longest first.
func (m *masker) run(plain string, from, to int) (all []found) {
	groups := split(plain, from, to)
	for i := 0; i < len(groups); i++ {
		for j := min(len(groups), i+neighbours); j > i; j-- {
			s := span{groups[i].from, groups[j-1].to}
			if kind := m.kind(plain[s.from:s.to]); kind != "" {
				all = append(all, found{s, kind})
				i = j - 1
				break
			}
		}
	}
	return all
}

// neighbours is how many groups are looked at together: no number is written in more.
const neighbours = 8

// split lists the groups of a run.
func split(plain string, from, to int) (groups []span) {
	start := from
	for i := from; i <= to; i++ {
		if i == to || plain[i] == ' ' || plain[i] == '-' {
			groups = append(groups, span{start, i})
			start = i + 1
		}
	}
	return groups
}

var (
	mobile   = regexp.MustCompile(`^(?:\(?(?:\+|00)?86\)?)?1[3-9][0-9]{9}$`)
	landline = regexp.MustCompile(`^(?:(?:\+|00)86[ -]?0?|0|\(0)(?:10|2[0-9]|[3-9][0-9]{2})(?:\)[ -]?|-)[2-9][0-9]{6,7}(?:-[0-9]{1,5})?$`)
	hotline  = regexp.MustCompile(`^[48]00-[0-9]{3}-[0-9]{4}$|^[48]00-[0-9]{4}-[0-9]{3}$`)
	groups4  = regexp.MustCompile(`^[0-9]{4}(?:[ -][0-9]{4}){2,3}(?:[ -][0-9]{1,4})?$|^[0-9]{4}[ -][0-9]{6}[ -][0-9]{5}$|^[0-9]{6}[ -][0-9]{13}$|^[0-9]{13,19}$`)
	groups3  = regexp.MustCompile(`^(?:\(?(?:\+|00)?86\)?[ -]?)?1[0-9]{2}[ -]?[0-9]{4}[ -]?[0-9]{4}$`)
	personID = regexp.MustCompile(`^[0-9]{6}[ -]?[0-9]{8}[ -]?[0-9]{3}[0-9xX]$`)
)

// kind tells what a number is; "" where it is nothing personal. Hotlines (400-…) belong to firms and are kept.
func (m *masker) kind(number string) Kind {
	if len(number) > 32 || hotline.MatchString(number) {
		return ""
	}
	digits := strings.Map(func(r rune) rune {
		if strings.ContainsRune(" -()", r) {
			return -1
		}
		return r
	}, number)
	switch {
	case m.only[IDCard] && personID.MatchString(number) && idCard(digits):
		return IDCard
	case m.only[Phone] && (groups3.MatchString(number) && mobile.MatchString(digits) || landline.MatchString(number)):
		return Phone
	case m.only[BankCard] && groups4.MatchString(number) && bankCard(digits):
		return BankCard
	}
	return ""
}

// idCard tells whether 18 digits are an identity number: province, date of birth and check digit (ISO 7064 MOD 11-2).
func idCard(id string) bool {
	if len(id) != 18 || id[0] < '1' || id[0] > '9' {
		return false
	}
	born, err := time.Parse("20060102", id[6:14])
	if err != nil || born.Year() < 1850 || born.Year() > 2100 {
		return false
	}
	sum, weight := 0, 1 // weights 2^(17−i) mod 11, from the right
	for i := 16; i >= 0; i-- {
		weight = weight * 2 % 11
		sum += int(id[i]-'0') * weight
	}
	check := (12 - sum%11) % 11
	last := int(id[17] - '0')
	if id[17] == 'X' || id[17] == 'x' {
		last = 10
	}
	return last == check
}

// cards are the first digits of cards: UnionPay, Visa, Mastercard, American Express, JCB, Discover, Diners, and the old
// cards of Chinese banks.
var cards = regexp.MustCompile(`^(?:62|4|5[1-5]|2[2-7]|3[47]|35|6011|65|60|3[068]|9558)`)

// bankCard tells whether digits are a card's number: length, first digits, and Luhn's formula (ISO/IEC 7812-1).
func bankCard(number string) bool {
	if n := len(number); n < 14 || n > 19 || !cards.MatchString(number) || (n < 16) != (number[0] == '3' && number[1] != '5') {
		return false
	}
	sum := 0
	for i := range len(number) {
		d := int(number[len(number)-1-i] - '0')
		if i%2 == 1 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return sum%10 == 0
}

func digit(b byte) bool  { return b >= '0' && b <= '9' }
func letter(b byte) bool { return b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b == '_' }
func alnum(b byte) bool  { return digit(b) || b != '_' && letter(b) }
