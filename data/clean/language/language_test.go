package language_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gofinetune/finetune/data/clean/language"
	"github.com/gofinetune/finetune/internal/golden"
	"github.com/gofinetune/finetune/internal/testdata"
)

func lines[T any](t testing.TB, name string) []T {
	return golden.Lines[T](t, filepath.Join(testdata.Data(t), name))
}

type document struct{ ID, Text, Lang string }

func TestDataLanguages(t *testing.T) {
	labels := map[string]string{}
	for _, l := range lines[document](t, "labels.jsonl") {
		labels[l.ID] = l.Lang
	}
	right, all := 0, 0
	wrong := map[string]int{}
	for _, d := range lines[document](t, "docs.jsonl") {
		r := language.Identify(d.Text)
		got := strings.ToLower(r.Tag())
		if got == "zh-hans" {
			got = "zh"
		}
		all++
		if got == labels[d.ID] {
			right++
		} else {
			wrong[fmt.Sprintf("%s taken for %s, as in %s", labels[d.ID], got, d.ID)]++
		}
		assert.True(t, r.Score >= 0 && r.Score <= 1, d.ID)
	}
	accuracy := float64(right) / float64(all)
	t.Logf("accuracy %.4f over %d documents; %v", accuracy, all, wrong)
	assert.GreaterOrEqual(t, accuracy, 0.98)
}

func TestTags(t *testing.T) {
	for text, want := range map[string]string{
		"卫生间还需要十五块瓷砖，请尽快补货。":                                                                                    "zh-Hans",
		"衛生間還需要十五塊瓷磚，請儘快補貨。":                                                                                    "zh-Hant",
		"大小多少天地人":                                                                                               "zh", // written the same in both
		"浴室にはタイルがあと四十五枚必要です。":                                                                                   "ja",
		"욕실에는 타일이 더 필요합니다.":                                                                                     "ko",
		"大韓民國의 헌법은 국민의 권리를 보장한다고 쓰여 있습니다.":                                                                      "ko",
		"The tiles for the bathroom have not arrived, and the plumber will come tomorrow.":                      "en",
		"Le client préfère une couleur plus claire pour les murs de la cuisine.":                                "fr",
		"Der Kunde möchte für die Küche lieber eine hellere Farbe haben.":                                       "de",
		"El cliente prefiere un color más claro para las paredes de la cocina.":                                 "es",
		"O cliente prefere uma cor mais clara para as paredes da cozinha, mas não decidiu.":                     "pt",
		"Заказчик хочет более светлый цвет для кухни и ванной комнаты.":                                         "ru",
		"يريد العميل لونًا أفتح لجدران المطبخ والحمام في هذا المنزل الجديد":                                     "ar",
		"ลูกค้าต้องการสีที่สว่างกว่าสำหรับผนังห้องครัว":                                                         "th",
		"Ο πελάτης θέλει πιο ανοιχτό χρώμα για τους τοίχους της κουζίνας.":                                      "el",
		"请把 Kubernetes 的 ConfigMap 挂载到 nginx 容器里，再用 kubectl apply 部署，注意检查日志里有没有报错。":                             "zh-Hans",
		"安装步骤如下，请先断电再施工，完成后检查。 Please read the manual carefully and then switch the power off before you work.": "mixed",
		"":            language.Undetermined,
		"123 456, 7.": language.Undetermined,
		"😀🎉":          language.Undetermined,
		"\xff\xfe":    language.Undetermined,
	} {
		r := language.Identify(text)
		assert.Equal(t, want, r.Tag(), "%s: %+v", text, r)
		sum := 0.0
		for _, s := range r.Shares {
			sum += s.Share
		}
		if r.Letters > 0 {
			assert.InDelta(t, 1, sum, 1e-9, text)
		} else {
			assert.Zero(t, r.Score, text)
		}
	}
}

// 2 simplified and 1 traditional character of those that tell: 国, 说; 國. 人 is written in one way only.
func TestVariantShares(t *testing.T) {
	r := language.Identify("国说國人")
	assert.InDelta(t, 2.0/3, r.Hans, 1e-12)
	assert.InDelta(t, 1.0/3, r.Hant, 1e-12)
}

// One Han character says as much as three letters: 6 × 3 against 18.
func TestSharesAreWeighed(t *testing.T) {
	r := language.Identify("安装说明如下 the manual of that")
	assert.InDelta(t, 18.0/33, r.Shares[0].Share, 1e-12)
	assert.Equal(t, "en", r.Shares[1].Lang)
}

func TestDefaultsHold(t *testing.T) {
	_, err := language.New(language.Config{})
	require.NoError(t, err)
}

func TestFewerLanguagesToChooseFrom(t *testing.T) {
	id, err := language.New(language.Config{Languages: []string{"de", "fr"}})
	require.NoError(t, err)
	assert.Equal(t, "de", id.Identify("De klant wil graag een lichtere kleur voor de keuken.").Lang, "Dutch is not among them")
	_, err = language.New(language.Config{Languages: []string{"de", "xx"}, Sample: -1, Mixed: 0.7})
	for _, want := range []string{`Languages[1]: is "xx"`, "Sample: is -1", "Mixed: is 0.7"} {
		assert.ErrorContains(t, err, want)
	}
}

func TestLongTextsAreSampled(t *testing.T) {
	text := strings.Repeat("Der Kunde möchte für die Küche lieber eine hellere Farbe. ", 1000)
	r := language.Identify(text)
	assert.Equal(t, "de", r.Lang)
	assert.Equal(t, r, language.Identify(text))
}

func FuzzIdentify(f *testing.F) {
	for _, text := range []string{"安装", "the and that", "ａｂｃ ー々〇", "\xf0\x9f", "это не то"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r := language.Identify(text)
		assert.True(t, r.Score >= 0 && r.Score <= 1)
		assert.LessOrEqual(t, r.Letters, utf8.RuneCountInString(text))
	})
}

func BenchmarkIdentify(b *testing.B) {
	docs := lines[document](b, "docs.jsonl")
	labels := lines[document](b, "labels.jsonl")
	for _, lang := range []string{"zh", "en", "mixed", "fr"} {
		b.Run(lang, func(b *testing.B) {
			var texts []string
			size := 0
			for i, d := range docs {
				if labels[i].Lang == lang {
					texts = append(texts, d.Text)
					size += len(d.Text)
				}
			}
			b.SetBytes(int64(size))
			for b.Loop() {
				for _, text := range texts {
					language.Identify(text)
				}
			}
		})
	}
}

func ExampleIdentify() {
	r := language.Identify("衛生間還需要十五塊瓷磚，請儘快補貨。")
	fmt.Printf("%s %s %.2f\n", r.Lang, r.Tag(), r.Score)
	// Output: zh zh-Hant 1.00
}
