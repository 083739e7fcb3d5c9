package jinja

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// snippet is a template with what the reference makes of it; testdata/make_snippets.py wrote them.
type snippet struct {
	Template    string   `json:"t"`
	Rendered    *string  `json:"r"`
	Generations [][2]int `json:"g"`
	Error       string   `json:"e"`
}

func TestGoldenSnippets(t *testing.T) {
	data, err := os.ReadFile("testdata/vars.json")
	require.NoError(t, err)
	lines, err := os.ReadFile("testdata/snippets.jsonl")
	require.NoError(t, err)
	for i, line := range bytes.Split(bytes.TrimSpace(lines), []byte("\n")) {
		var s snippet
		require.NoError(t, json.Unmarshal(line, &s))
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			out, err := renderSnippet(t, s.Template, data)
			if s.Rendered == nil {
				require.Error(t, err, "%s\nraises %s", s.Template, s.Error)
				if own, found := strings.CutPrefix(s.Error, "TemplateError: "); found {
					assert.Equal(t, own, err.Error())
				}
				return
			}
			require.NoError(t, err, s.Template)
			assert.Equal(t, *s.Rendered, out.Text, s.Template)
			assert.Equal(t, fmt.Sprint(s.Generations), fmt.Sprint(out.Generations), s.Template)
		})
	}
}

// renderSnippet renders with the variables and the clock of make_snippets.py.
func renderSnippet(t testing.TB, template string, data []byte) (Output, error) {
	parsed, err := Parse(template)
	if err != nil {
		return Output{}, err
	}
	vars := map[string]Value{"messages": NewList(), "tools": nil, "documents": nil, "add_generation_prompt": false}
	all := fromJSON(t, data).(*Dict)
	for i, key := range all.keys {
		vars[key.(Str).S] = all.values[i]
	}
	clock := func() time.Time { return time.Date(2031, 2, 3, 14, 5, 6, 789_000, time.UTC) }
	return parsed.Render(vars, Options{Now: clock})
}

// TestMarksFollowData: what came from data is marked, and nothing else, whatever the template does with it.
func TestMarksFollowData(t *testing.T) {
	for _, tt := range []struct{ template, want string }{
		{"a{{ d }}b", "a[data]b"},
		{"{{ 'x' + d + 'y' }}{{ 'x' ~ d }}", "x[data]yx[data]"},
		{"{{ d[1:3] }}{{ d.split('t') | join('T') }}", "[atda]T[a]"},
		{"{{ d.replace('a', 'XX') }}", "[d]XX[t]XX"},
		{"{{ ('  ' ~ d ~ ' ') | trim }}|{{ 'x%sy' % d }}|{{ '{}{}'.format('z', d) }}", "[data]|x[data]y|z[data]"},
		{"{{ d | upper }}{{ ('x' ~ d) | title }}", "[DATAXdata]"},
		{"{{ {'k': d} | tojson }}{{ [d] }}{{ {'k': 'v'} | tojson }}", `[{"k": "data"}['data']]{"k": "v"}`},
		{"{% macro m(x) %}<{{ x }}>{% endmacro %}{{ m(d) }}{% set y %}({{ d }}){% endset %}{{ y }}", "<[data]>([data])"},
		{"{% for c in d %}{{ c }}-{% endfor %}{{ d | reverse }}{{ d * 2 }}", "[d]-[a]-[t]-[a]-[ataddatadata]"},
		{"{{ d | length }}{{ d == 'data' }}{{ d in 'xdatax' }}", "4TrueTrue"},
		{"{% generation %}x{{ d }}{% endgeneration %}{% filter indent(1) %}{{ d }}\nz{% endfilter %}", "x[datadata]\n z"},
		{"{{ d.partition('t')[2] }}{{ d.center(8) }}{{ d | first }}{{ d | last }}{{ [d, 'q'] | join(',') }}", "[a]  [data]  [dadata],q"},
	} {
		parsed, err := Parse(tt.template)
		require.NoError(t, err, tt.template)
		out, err := parsed.Render(map[string]Value{"d": Data("data", 7)}, Options{})
		require.NoError(t, err, tt.template)
		assert.Equal(t, tt.want, bracketed(out), tt.template)
	}
}

// bracketed writes the marks as brackets.
func bracketed(out Output) string {
	var b strings.Builder
	at := 0
	for _, m := range out.Marks {
		b.WriteString(out.Text[at:m.Start] + "[" + out.Text[m.Start:m.End] + "]")
		at = m.End
	}
	return b.String() + out.Text[at:]
}

func FuzzRender(f *testing.F) {
	lines, err := os.ReadFile("testdata/snippets.jsonl")
	require.NoError(f, err)
	data, err := os.ReadFile("testdata/vars.json")
	require.NoError(f, err)
	for _, line := range bytes.Split(bytes.TrimSpace(lines), []byte("\n")) {
		var s snippet
		require.NoError(f, json.Unmarshal(line, &s))
		f.Add(s.Template)
	}
	f.Fuzz(func(t *testing.T, template string) {
		if len(template) > 2000 {
			return
		}
		out, err := renderSnippet(t, template, data) // an error, never a panic or a hang
		if err != nil {
			return
		}
		at := 0
		for _, m := range out.Marks {
			if m.Start < at || m.End <= m.Start || m.End > len(out.Text) {
				t.Fatalf("marks %v of %q", out.Marks, out.Text)
			}
			at = m.End
		}
	})
}

func BenchmarkRender(b *testing.B) {
	template := "{% for m in messages %}{% if m.role == 'system' %}{{ '<|im_start|>system\\n' + m.content + '<|im_end|>\\n' }}{% elif m.role == 'user' or loop.last %}{{ '<|im_start|>' + m.role + '\\n' + m.content | trim + '<|im_end|>\\n' }}{% endif %}{% endfor %}"
	parsed, err := Parse(template)
	require.NoError(b, err)
	messages := fromJSON(b, []byte(`[{"role":"system","content":"You answer."},{"role":"user","content":"Why?"},{"role":"assistant","content":"Because."},{"role":"user","content":"How?"}]`))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := parsed.Render(map[string]Value{"messages": messages}, Options{}); err != nil {
			b.Fatal(err)
		}
	}
}
