package tokenizer_test

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gofinetune/finetune/internal/testdata"
	"github.com/gofinetune/finetune/tokenizer"
)

// expectation is an entry of expectations.json.
type expectation struct {
	File      string
	Kind      string
	Verdict   string // reject, accept or either
	Class     string
	AnyClass  bool `json:"any_class"`
	VocabSize int  `json:"vocab_size"`
	Probe     string
}

func TestBadInputsTokenizer(t *testing.T) {
	root := testdata.BadInputs(t)
	var file struct{ Cases []expectation }
	readJSON(t, filepath.Join(root, "expectations.json"), &file)
	found := 0
	for _, want := range file.Cases {
		if want.Kind != "tokenizer" {
			continue
		}
		found++
		t.Run(filepath.Base(want.File), func(t *testing.T) { checkBadInput(t, filepath.Join(root, want.File), want) })
	}
	require.NotZero(t, found, "%s holds no tokenizer cases", root)
}

func checkBadInput(t *testing.T, path string, want expectation) {
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "tokenizer.json"), data, 0o644))

	start, before := time.Now(), allocated()
	tok, err := tokenizer.Load(dir)
	if err == nil {
		probe(t, tok, want)
	}
	assert.Less(t, time.Since(start), 2*time.Second, "no hang")
	assert.LessOrEqual(t, allocated()-before, uint64(16*len(data)+64<<20), "bytes allocated")

	switch want.Verdict {
	case "accept":
		require.NoError(t, err)
		if want.VocabSize > 0 {
			assert.Equal(t, want.VocabSize, tok.Size())
		}
	case "reject":
		require.Error(t, err, "want %s", want.Class)
	}
	if err == nil {
		return
	}
	var fault *tokenizer.FileError
	require.ErrorAs(t, err, &fault)
	assert.Equal(t, filepath.Join(dir, "tokenizer.json"), fault.File)
	assert.NotEmpty(t, fault.Msg)
	if !want.AnyClass {
		assert.Equal(t, want.Class, fault.Class, "%v", err)
	}
}

// probe uses a tokenizer that was accepted: nothing may hang, and no text may vanish.
func probe(t *testing.T, tok *tokenizer.Tokenizer, want expectation) {
	for _, text := range []string{"", "hello <|im_end|> 你好", want.Probe, strings.Repeat("a", 10_000) + "b", strings.Repeat("a", 10_000)} {
		full := tok.EncodeFull(text, tokenizer.Options{ParseControl: true})
		assert.Equal(t, text, tok.Decode(full.IDs, false), "round trip of %.40q", text)
	}
}

func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

// TestBadInputsTokenizerConfig damages the files beside tokenizer.json.
func TestBadInputsTokenizerConfig(t *testing.T) {
	source := filepath.Join(testdata.BadInputs(t), "tokenizer", "ok_bytelevel.json")
	data, err := os.ReadFile(source)
	require.NoError(t, err)
	for _, tt := range []struct{ name, file, content, class string }{
		{"torn", "tokenizer_config.json", `{"eos_token": "</s`, "invalid_json"},
		{"no object", "tokenizer_config.json", `[]`, "not_an_object"},
		{"token is a number", "tokenizer_config.json", `{"eos_token": 3}`, "wrong_type"},
		{"template is a number", "tokenizer_config.json", `{"chat_template": 3}`, "wrong_type"},
		{"template list without names", "tokenizer_config.json", `{"chat_template": [{"template": "x"}]}`, "wrong_type"},
		{"added id is no number", "tokenizer_config.json", `{"added_tokens_decoder": {"x": {"content": "y"}}}`, "bad_value"},
		{"special map torn", "special_tokens_map.json", `{`, "invalid_json"},
		{"template file torn", "chat_template.json", `{"chat_template"`, "invalid_json"},
		{"deep", "tokenizer_config.json", strings.Repeat(`{"a":`, 20000) + "1" + strings.Repeat("}", 20000), "invalid_json"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			require.NoError(t, os.WriteFile(filepath.Join(dir, "tokenizer.json"), data, 0o644))
			require.NoError(t, os.WriteFile(filepath.Join(dir, tt.file), []byte(tt.content), 0o644))
			_, err := tokenizer.Load(dir)
			var fault *tokenizer.FileError
			require.ErrorAs(t, err, &fault)
			assert.Equal(t, filepath.Join(dir, tt.file), fault.File)
			assert.Equal(t, tt.class, fault.Class, "%v", err)
		})
	}
}

// TestBadInputsChatTemplate: a broken template does not keep a tokenizer from encoding text, and hostile ones end.
func TestBadInputsChatTemplate(t *testing.T) {
	source := filepath.Join(testdata.BadInputs(t), "tokenizer", "ok_bytelevel.json")
	data, err := os.ReadFile(source)
	require.NoError(t, err)
	hello := []tokenizer.Message{{Role: "user", Content: "hello"}}
	for _, tt := range []struct{ name, template, want string }{
		{"unclosed", "{% if", "line 1"},
		{"unknown tag", "a\n{% frob %}", "line 2"},
		{"unknown filter", "\n\n{{ 'x' | frob }}", "line 3: No filter named 'frob'."},
		{"endless loop", "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}", "runs for more than"},
		{"endless text", "{% for a in range(9999) %}{{ 'x' * 99999 }}{% endfor %}", "longer than"},
		{"large text", "{{ 'x' * 999999999 }}", "longer than"},
		{"large number", "{{ 9 ** 99999 }}", "too large"},
		{"endless recursion", "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "recursion"},
		{"deep nesting", strings.Repeat("{% if true %}", 5000), "nested"},
		{"deep brackets", "{{ " + strings.Repeat("(", 5000) + strings.Repeat(")", 5000) + " }}", "nested"},
		{"wrong type", "{{ messages + 1 }}", "line 1: can only concatenate list"},
		{"missing attribute", "{{ nothing.there }}", "'nothing' is undefined"},
		{"changes data", "{{ messages.append(1) }}", "unsafe"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			require.NoError(t, os.WriteFile(filepath.Join(dir, "tokenizer.json"), data, 0o644))
			require.NoError(t, os.WriteFile(filepath.Join(dir, "chat_template.jinja"), []byte(tt.template), 0o644))
			tok, err := tokenizer.Load(dir)
			require.NoError(t, err)
			assert.NotEmpty(t, tok.Encode("hello"))
			start := time.Now()
			_, err = tok.RenderChat(hello, tokenizer.ChatOptions{})
			assert.Less(t, time.Since(start), 5*time.Second)
			assert.ErrorContains(t, err, tt.want)
			assert.ErrorContains(t, err, "chat_template.jinja")
		})
	}
}

func TestLoadNamesWhatIsMissing(t *testing.T) {
	_, err := tokenizer.Load(filepath.Join(t.TempDir(), "none"))
	assert.ErrorContains(t, err, "no such folder")
	dir := t.TempDir()
	_, err = tokenizer.Load(dir)
	assert.ErrorContains(t, err, "tokenizer.json")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "tokenizer.model"), nil, 0o644))
	_, err = tokenizer.Load(dir)
	assert.ErrorContains(t, err, "has only tokenizer.model")
	require.NoError(t, os.Mkdir(filepath.Join(dir, "tokenizer.json"), 0o755))
	_, err = tokenizer.Load(dir)
	assert.ErrorContains(t, err, "want a file")
}
