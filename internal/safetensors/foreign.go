package safetensors

import (
	"bytes"
	"strings"
)

// foreign recognises what people keep under the name of a model that is not safetensors, from its first bytes. It is
// asked only after the file was refused: by chance a header's length can look like any of these.
func foreign(first []byte) string {
	if len(first) > lengthSize && first[lengthSize] == '{' {
		return "" // a safetensors file, though a damaged one
	}
	const convert = "; load it once with transformers and save it again with save_pretrained(dir), which writes safetensors"
	text := strings.ToLower(string(bytes.TrimLeft(first, " \t\r\n\ufeff")))
	switch {
	case bytes.HasPrefix(first, []byte("PK\x03\x04")):
		return "is a zip archive, as torch.save writes it: a pickle, which can run code, is never read" + convert
	case len(first) > 1 && first[0] == 0x80 && first[1] >= 2 && first[1] <= 5:
		return "is a Python pickle, which can run code and is never read" + convert
	case strings.HasPrefix(text, "version https://git-lfs"):
		return "is a git-LFS pointer, not the file itself; run `git lfs pull` in its folder"
	case strings.HasPrefix(text, "<!doctype") || strings.HasPrefix(text, "<html") || strings.HasPrefix(text, "<?xml"):
		return "is a web page: the download returned an error or a login form; download it again"
	case bytes.HasPrefix(first, []byte("GGUF")):
		return "is a GGUF file; use the safetensors weights that it was made from"
	case bytes.HasPrefix(first, []byte("\x89HDF")):
		return "is an HDF5 file" + convert
	case bytes.HasPrefix(first, []byte{0x1f, 0x8b}) || bytes.HasPrefix(first, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		return "is compressed; unpack it first"
	}
	return ""
}
