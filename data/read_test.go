package data_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/gofinetune/finetune/data"
)

func write(t *testing.T, name string, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, content, 0o600))
	return path
}

func gzipped(b []byte) []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	z.Write(b)
	z.Close()
	return out.Bytes()
}

func zstded(b []byte) []byte {
	z, _ := zstd.NewWriter(nil)
	return z.EncodeAll(b, nil)
}

// read collects records and errors of a walk.
func read(f data.File) (records []data.Record, errs []string) {
	for r, err := range f.Records() {
		if err != nil {
			errs = append(errs, strings.ReplaceAll(err.Error(), filepath.Dir(f.Path)+"/", ""))
			continue
		}
		r.Place.File = ""
		records = append(records, r)
	}
	return records, errs
}

const (
	lineA = `{"instruction":"问","input":"","output":"答"}`
	lineB = `{"instruction":"q","output":"a","history":[["x","y"]],"system":"s","learn":"last"}`
)

// TestEveryWrapping: lines or array, plain or compressed, with mark, blank lines or Windows line ends: the same records.
func TestEveryWrapping(t *testing.T) {
	lines := lineA + "\n\n" + lineB + "\n"
	array := "[" + lineA + ",\n\n" + lineB + "]\n"
	for name, content := range map[string][]byte{
		"a.jsonl":       []byte(lines),
		"a.json":        []byte(array),
		"lines.json":    []byte(lines),
		"array.jsonl":   []byte(array),
		"pretty.json":   []byte("\n [\n" + lineA + "\n,\n" + lineB + "\n ]"),
		"marked.json":   []byte("\xef\xbb\xbf" + array),
		"a.jsonl.gz":    gzipped([]byte(lines)),
		"a.json.gz":     gzipped([]byte(array)),
		"two.jsonl.gz":  append(gzipped([]byte(lineA+"\n\n")), gzipped([]byte(lineB))...),
		"a.jsonl.zst":   zstded([]byte(lines)),
		"a.json.zst":    zstded([]byte(array)),
		"unnamed":       zstded([]byte(lines)),
		"windows.jsonl": []byte(strings.ReplaceAll(lines, "\n", "\r\n")),
		"no_end.jsonl":  []byte(lineA + "\n \t\n" + lineB),
	} {
		t.Run(name, func(t *testing.T) {
			path := write(t, name, content)
			records, errs := read(data.File{Path: path})
			require.Empty(t, errs)
			require.Len(t, records, 2)
			assert.Equal(t, "问", records[0].Instruction)
			assert.Equal(t, data.LastAnswer, records[1].Learn)
			assert.Equal(t, [][2]string{{"x", "y"}}, records[1].History)
			if !strings.HasPrefix(name, "pretty") {
				assert.Equal(t, 1, records[0].Place.Line)
				assert.Equal(t, 3, records[1].Place.Line)
			} else {
				assert.Equal(t, []int{3, 5}, []int{records[0].Place.Line, records[1].Place.Line})
			}
			again, _ := read(data.File{Path: path})
			assert.Equal(t, records, again, "a second walk starts over")
		})
	}
}

func TestPlaceByte(t *testing.T) {
	content := " \n" + lineA + "\n" + lineB
	for name, text := range map[string]string{"a.jsonl": content, "a.json": "[" + lineA + " ,\n  " + lineB + "]"} {
		records, errs := read(data.File{Path: write(t, name, []byte(text))})
		require.Empty(t, errs)
		for _, r := range records {
			assert.Equal(t, byte('{'), text[r.Place.Byte])
		}
	}
}

func TestStdin(t *testing.T) {
	for name, content := range map[string][]byte{"plain": []byte(lineA), "gzip": gzipped([]byte("[" + lineA + "]"))} {
		t.Run(name, func(t *testing.T) {
			r, w, err := os.Pipe()
			require.NoError(t, err)
			stdin := os.Stdin
			t.Cleanup(func() { os.Stdin = stdin })
			os.Stdin = r
			go func() { w.Write(content); w.Close() }()
			for record, err := range (data.File{Path: "-"}).Records() {
				require.NoError(t, err)
				assert.Equal(t, "stdin:1", record.Place.String())
			}
		})
	}
}

// TestFaults are those that the shared corpus does not hold.
func TestFaults(t *testing.T) {
	for _, tt := range []struct {
		name, content string
		file          data.File
		good          int
		want          []string
	}{
		{
			name: "a.json", content: "[" + lineA + ",\n{\"instruction\":3},\n" + lineB + "]", good: 2,
			want: []string{"a.json:2: output: is missing; the record has instruction"},
		},
		{
			name: "nan.json", content: "[" + lineA + ",{\"x\":NaN}," + lineB + ",]", good: 2,
			want: []string{`nan.json:1: x: invalid character 'N' at start of value at byte 5 of the record, after "{\"x\":"`, "nan.json:1: no element between two commas, or after the last one"},
		},
		{
			name: "torn.json", content: "[" + lineA + ",\n{\"instruction\":", good: 1,
			want: []string{"torn.json:2: the element that begins at line 2 is cut off"},
		},
		{name: "open.json", content: "[" + lineA, good: 0, want: []string{"open.json:1: the element that begins at line 1 is cut off"}},
		{name: "comma.json", content: "[" + lineA + ", ", good: 1, want: []string{"comma.json:1: the array is not closed; the file is cut off"}},
		{name: "after.json", content: "[" + lineA + "]\n{}", good: 1, want: []string{`after.json:2: "{" follows the end of the array`}},
		{name: "no_comma.json", content: "[" + lineA + lineB + "]", want: []string{`no_comma.json:1: "` + strings.ReplaceAll(lineB[:78], `"`, `\"`) + `"… follows the record; want one record a line`}},
		{name: "none.json", content: "[ ]", want: []string{"none.json: holds no record"}},
		{name: "not.json", content: "hello", want: []string{"not.json:1: invalid character 'h' at start of value at byte 0 of the record"}},
		{name: "list.jsonl", content: "[]\n" + lineA, good: 1, want: []string{"list.jsonl:1: is a list; want an object {…}"}},
		{
			name: "long.jsonl", content: lineA + "\n" + `{"instruction":"` + strings.Repeat("x", 200) + `"}` + "\n" + lineB, good: 2,
			file: data.File{MaxRecord: 100},
			want: []string{"long.jsonl:2: the line has 219 bytes, over the limit of 100; raise MaxRecord if that is right"},
		},
		{
			name: "long.json", content: "[" + lineA + "," + strings.Repeat("1", 200) + "," + lineB + "]", good: 2,
			file: data.File{MaxRecord: 100},
			want: []string{"long.json:1: the element has 200 bytes, over the limit of 100; raise MaxRecord if that is right"},
		},
		{
			name: "size.jsonl.gz", content: string(gzipped([]byte(lineA + "\n" + lineB))), file: data.File{MaxExpanded: 60}, good: 1,
			want: []string{"size.jsonl.gz:2: expands to more than 60 bytes; raise MaxExpanded if that is right"},
		},
		{
			name: "cut.jsonl.gz", content: string(gzipped([]byte(lineA + "\n" + lineB + "\n")))[:60],
			want: []string{"cut.jsonl.gz:1: unexpected EOF"},
		},
		{name: "plain.jsonl.gz", content: lineA, want: []string{`plain.jsonl.gz: is named .gz but does not begin like one ("{\"in")`}},
		{name: "utf16.json", content: "[\x00{\x00", want: []string{"utf16.json:1: the file is in UTF-16LE: convert it, for example with iconv -f UTF-16LE -t UTF-8"}},
		{
			name: "latin.jsonl", content: "{\"instruction\":\"na\xefve caf\xe9\",\"output\":\"x\"}",
			want: []string{`latin.jsonl:1: invalid UTF-8 at byte 18 of the record: 0xEF after "{\"instruction\":\"na"; it looks like WINDOWS-1252: convert the file, for example with iconv -f WINDOWS-1252 -t UTF-8`},
		},
		{
			name: "typo.jsonl", content: `{"instruction":"q","output":"a","histroy":[]}`,
			want: []string{`typo.jsonl:1: histroy: is not a field of sft records; did you mean "history"?`},
		},
		{
			name: "unknown.jsonl", content: `{"instruction":"q","output":"a","tags":[]}`, file: data.File{RejectUnknown: true},
			want: []string{`unknown.jsonl:1: tags: is not a field of sft records; they have instruction, output, input, history, system, learn`},
		},
		{name: "learn.jsonl", content: `{"instruction":"q","output":"a","learn":"all"}`, want: []string{`learn.jsonl:1: learn: is "all"; want every, last or tokens`}},
		{name: "ranked.jsonl", content: `{"instruction":"q","output":["a","b"]}`, want: []string{"ranked.jsonl:1: output: is a list; want a string; a list of answers belongs to the kinds rm and dpo"}},
		{name: "deep.jsonl", content: `{"x":` + strings.Repeat("[", 9) + strings.Repeat("]", 9) + "}", file: data.File{MaxDepth: 5}, want: []string{"deep.jsonl:1: is nested deeper than 5 at byte 9 of the record"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.file.Path = write(t, tt.name, []byte(tt.content))
			records, errs := read(tt.file)
			assert.Len(t, records, tt.good)
			assert.Equal(t, tt.want, errs)
		})
	}
}

func TestMessages(t *testing.T) {
	for _, tt := range []struct{ content, want string }{
		{`{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}],"tools":[{"type":"function"}]}`, ""},
		{`{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":null,"tool_calls":[{"function":{"name":"f","arguments":{}}}]}]}`, ""},
		{`{"messages":[{"role":"user","content":"q"}]}`, "messages: has no message of the assistant; there is nothing to learn"},
		{`{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":" "}]}`, "messages[1].content: is blank; there is nothing to learn"},
		{`{"messages":[{"role":"human","content":"q"}]}`, `messages[0].role: is "human"; want system, user, assistant or tool`},
		{`{"messages":[{"role":"user","content":3}]}`, "messages[0]: content: is a number; want a string"},
		{`{"messages":{"role":"user"}}`, "messages: is an object; want a list"},
		{`{"messages":[{"role":"assistant","content":"a","weight":2}]}`, "messages[0].weight: is 2; want 0 (context only) or 1 (learned)"},
		{`{"messages":[{"role":"assistant","content":"a"}],"tools":{}}`, "tools: is an object; want a list of objects"},
	} {
		var got error
		for _, err := range (data.File{Path: write(t, "m.jsonl", []byte(tt.content))}).Conversations() {
			got = err
		}
		if tt.want == "" {
			assert.NoError(t, got)
			continue
		}
		require.Error(t, got, tt.content)
		assert.True(t, strings.HasSuffix(got.Error(), "m.jsonl:1: "+tt.want), got.Error())
	}
}

// TestLinesAndArrayAgree: whatever the records hold, both layouts give them back, on the right lines.
func TestLinesAndArrayAgree(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOf(rapid.RuneFrom([]rune("a\"\\[]{},: \n\t你🚀\u2028\u0085\x00")))
		var want []data.Record
		var encoded []string
		for range rapid.IntRange(1, 5).Draw(t, "records") {
			r := data.Record{Instruction: "i" + text.Draw(t, "i"), Input: text.Draw(t, "in"), Output: "o" + text.Draw(t, "o")}
			if rapid.Bool().Draw(t, "with history") {
				r.History = [][2]string{{text.Draw(t, "q"), text.Draw(t, "a")}}
			}
			b, err := json.Marshal(r)
			require.NoError(t, err)
			want, encoded = append(want, r), append(encoded, string(b))
		}
		space := rapid.StringMatching(`[ \r\t\n]{0,4}`).Draw(t, "space")
		for name, content := range map[string]string{
			"r.jsonl": strings.Join(encoded, "\n"+space),
			"r.json":  space + "[" + strings.Join(encoded, space+","+space) + space + "]",
		} {
			path := filepath.Join(dir, name)
			require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
			got, errs := read(data.File{Path: path})
			require.Empty(t, errs)
			require.Len(t, got, len(want))
			for i := range got {
				line := 1 + strings.Count(content[:got[i].Place.Byte], "\n")
				assert.Equal(t, line, got[i].Place.Line)
				got[i].Place = data.Place{}
			}
			assert.Equal(t, want, got)
		}
	})
}

// TestHugeLine: a line of 100 MB is refused without being held in memory.
func TestHugeLine(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 100 MB")
	}
	path := filepath.Join(t.TempDir(), "huge.jsonl")
	file, err := os.Create(path)
	require.NoError(t, err)
	block := bytes.Repeat([]byte("x"), 1<<20)
	fmt.Fprint(file, lineA, "\n{\"instruction\":\"")
	for range 100 {
		file.Write(block)
	}
	fmt.Fprint(file, "\"}\n", lineB)
	require.NoError(t, file.Close())

	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	records, errs := read(data.File{Path: path, MaxRecord: 8 << 20})
	runtime.ReadMemStats(&after)
	require.Len(t, errs, 1)
	assert.Contains(t, errs[0], "huge.jsonl:2: the line has 104857619 bytes")
	assert.Equal(t, []int{1, 3}, []int{records[0].Place.Line, records[1].Place.Line})
	assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(64<<20))
}

func TestStopEarly(t *testing.T) {
	path := write(t, "a.jsonl", []byte(strings.Repeat(lineA+"\n", 1000)))
	for range 3 {
		for range (data.File{Path: path}).Records() {
			break // the file is closed: the test's folder could not be removed on every system otherwise
		}
	}
}
