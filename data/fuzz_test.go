package data

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gofinetune/finetune/internal/testdata"
)

// seed adds the lines of all damaged files, and the files themselves.
func seed(f *testing.F) {
	for _, path := range testdata.Cases(f, testdata.BadInputs(f), "jsonl/*") {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		if len(text) > 2000 {
			continue
		}
		f.Add(text)
		for line := range bytes.Lines(text) {
			f.Add(line)
		}
	}
	f.Add([]byte(`{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a","weight":0}],"tools":[{}]}`))
	f.Add([]byte(`[{"instruction":"q","output":"a"},{"x":"\ud800"}]`))
}

// FuzzParse reads any bytes as each kind of record: an error with a class, never a panic.
func FuzzParse(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, line []byte) {
		p := newParser(64)
		o, err := p.object(line)
		if err != nil {
			checkFault(t, err)
			return
		}
		file := File{}
		if r, err := parseRecord(o, file); err != nil {
			checkFault(t, err)
		} else if _, err := r.Conversation(); err != nil {
			var bad *RecordError
			if !errors.As(err, &bad) {
				t.Fatalf("%v is no RecordError", err)
			}
			checkFault(t, bad)
		}
		for _, parse := range []func() *RecordError{
			func() *RecordError { _, err := parseRanked(o, file); return err },
			func() *RecordError { _, err := parsePair(o, file); return err },
			func() *RecordError { _, err := parseDocument(o, file); return err },
			func() *RecordError { _, err := parseQuestion(o, file); return err },
		} {
			if err := parse(); err != nil {
				checkFault(t, err)
			}
		}
	})
}

func checkFault(t *testing.T, err *RecordError) {
	if err.Class == "" || err.Msg == "" || len(err.Error()) > 1000 {
		t.Fatalf("class %q, message %q", err.Class, err.Error())
	}
	if strings.ContainsAny(err.Error(), "\x00\x1b\r") {
		t.Fatalf("control characters in %q", err.Error())
	}
}

// FuzzSplit reads any bytes as a file, in small buffers too: it ends, and the places go forward.
func FuzzSplit(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, content []byte) {
		for _, file := range []File{{Path: "a.json", MaxRecord: 50}, {Path: "a.jsonl", MaxRecord: 50}, {Path: "a.json"}} {
			file = file.withDefaults()
			in := &input{Reader: bufio.NewReaderSize(bytes.NewReader(content), 16)}
			s, _, err := file.split(in)
			if err != nil {
				continue
			}
			last := Place{Line: -1}
			for n := 0; ; n++ {
				text, place, err := s.next()
				if err == io.EOF {
					break
				}
				if n > len(content) || place.Line < last.Line || place.Byte < last.Byte || place.Byte > int64(len(content)) {
					t.Fatalf("record %d at %+v after %+v", n, place, last)
				}
				last = place
				var bad *RecordError
				switch {
				case err == nil && len(text) > file.MaxRecord:
					t.Fatalf("record of %d bytes", len(text))
				case err == nil && !bytes.HasPrefix(content[place.Byte:], text[:1]):
					t.Fatalf("place %+v is not where %q begins", place, text)
				case err != nil && !errors.As(err, &bad):
					t.Fatal(err)
				}
				if bad != nil && bad.Unread {
					break
				}
			}
		}
	})
}

// FuzzFile reads any bytes as a file on disk, compressed or not.
func FuzzFile(f *testing.F) {
	seed(f)
	path := filepath.Join(f.TempDir(), "records")
	f.Fuzz(func(t *testing.T, content []byte) {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		file := File{Path: path, MaxExpanded: 1 << 20, MaxRecord: 1 << 16}
		n := 0
		for _, err := range file.Conversations() {
			if n++; n > len(content)+1<<20 {
				t.Fatal("no end")
			}
			_ = err
		}
		if n == 0 {
			t.Fatal("neither a record nor an error")
		}
	})
}
