package libtorch

import (
	"archive/tar"
	"archive/zip"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync/atomic"
)

// wanted decides which members of an archive are unpacked, by their slash-separated names below the archive's top.
type wanted func(name string) bool

// notLinked are libraries of torch/lib that only Python, or programs other than ours, load.
var notLinked = []string{"libtorch_python", "libshm", "libtorch_global_deps", "libtorch.so", "libnnapi_backend", "libbackend_with_compiler", "libjitbackend_test", "libtorchbind_test", "libaoti_custom_ops"}

// onlyCUDA are the libraries that a program on the CPU never loads; they are half the size.
var onlyCUDA = []string{"libtorch_cuda", "libc10_cuda", "libtorch_nvshmem", "libcaffe2_nvrtc", "libtorch_hip", "libc10_hip"}

// selection unpacks headers, the libraries that are linked, and licences. It knows wheels (torch/…, nvidia/…) and
// libtorch's own archives (libtorch/…).
func selection(cuda bool) wanted {
	return func(name string) bool {
		top, rest, _ := strings.Cut(name, "/")
		base := path.Base(name)
		switch {
		case strings.HasSuffix(top, ".dist-info"):
			return strings.Contains(strings.ToLower(base), "license") || base == "NOTICE"
		case top == "nvidia":
			return wantedCUDALibrary(name, base, cuda)
		case top == "torch" || top == "libtorch":
			return strings.HasPrefix(rest, "include/") || strings.HasPrefix(rest, "lib/") && path.Dir(rest) == "lib" && wantedTorchLibrary(base, cuda)
		}
		return top == "torch.libs" // libraries that a repaired wheel carries
	}
}

func wantedTorchLibrary(base string, cuda bool) bool {
	if !strings.Contains(base, ".so") || hasPrefix(base, notLinked) {
		return false
	}
	return cuda || !hasPrefix(base, onlyCUDA)
}

func wantedCUDALibrary(name, base string, cuda bool) bool {
	if !cuda {
		return strings.HasPrefix(base, "libcudart.so") || strings.HasPrefix(base, "libcupti.so")
	}
	return strings.Contains(name, "/include/") || strings.Contains(name, "/lib/") && strings.Contains(base, ".so")
}

func hasPrefix(s string, prefixes []string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	return false
}

// unpack writes the wanted members of an archive below dir: a wheel or zip, or a tar, gzipped or not. The kind is read
// from the content; a name may lie.
func unpack(ctx context.Context, archive, dir string, want wanted, p *progress) error {
	f, err := os.Open(archive)
	if err != nil {
		return &Problem{Kind: ErrArchive, Detail: "it cannot be opened", Err: err, Fix: "name a file that exists: " + Command + " install --from FILE"}
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	head := make([]byte, 512)
	n, _ := io.ReadFull(f, head)
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	switch head = head[:n]; {
	case bytes.HasPrefix(head, []byte("PK\x03\x04")):
		err = unpackZip(ctx, f, info.Size(), dir, want, p)
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}), len(head) > 262 && string(head[257:262]) == "ustar":
		err = unpackTar(ctx, f, info.Size(), head[0] == 0x1f, dir, want, p)
	default:
		return &Problem{Kind: ErrArchive, Detail: fmt.Sprintf("%s is neither zip (wheel), tar nor tar.gz", archive), Fix: "take the archive again: a page of a proxy or a half download may have been saved in its place"}
	}
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err = diskProblem(err); err != nil {
		var known *Problem
		if errors.As(err, &known) {
			return err
		}
		return &Problem{Kind: ErrArchive, Detail: archive, Err: err, Fix: "take the archive again: it is damaged or cut short"}
	}
	return nil
}

func unpackZip(ctx context.Context, f io.ReaderAt, size int64, dir string, want wanted, p *progress) error {
	z, err := zip.NewReader(f, size)
	if err != nil {
		return err
	}
	var total int64
	for _, m := range z.File {
		if want(m.Name) {
			total += int64(m.UncompressedSize64)
		}
	}
	if err := needSpace(dir, total); err != nil {
		return err
	}
	var done atomic.Int64
	defer p.watch("  unpacking", total, done.Load)()
	for _, m := range z.File {
		if !want(m.Name) || m.FileInfo().IsDir() {
			continue
		}
		r, err := m.Open()
		if err != nil {
			return fmt.Errorf("%s: %w", m.Name, err)
		}
		if m.Mode()&fs.ModeSymlink != 0 {
			target, readErr := io.ReadAll(io.LimitReader(r, 4096))
			err = errors.Join(readErr, writeLink(dir, m.Name, string(target)))
		} else {
			err = writeMember(ctx, dir, m.Name, r, &done)
		}
		if err = errors.Join(err, r.Close()); err != nil {
			return fmt.Errorf("%s: %w", m.Name, err)
		}
	}
	return nil
}

// largestMember in bytes: a few bytes of a tar can stand for any number of zeros.
const largestMember = 16 << 30

func unpackTar(ctx context.Context, f io.Reader, size int64, zipped bool, dir string, want wanted, p *progress) error {
	var read, done atomic.Int64
	defer p.watch("  unpacking", size, read.Load)()
	f = bufio.NewReaderSize(&counter{f, &read}, 1<<20)
	if zipped {
		g, err := gzip.NewReader(f)
		if err != nil {
			return err
		}
		f = g
	}
	t := tar.NewReader(f)
	for {
		m, err := t.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(m.Name, "./")
		if !want(name) {
			continue
		}
		switch m.Typeflag {
		case tar.TypeReg:
			if m.Size > largestMember {
				return fmt.Errorf("%s: claims %s, more than any library has", m.Name, megabytes(m.Size))
			}
			err = writeMember(ctx, dir, name, t, &done)
		case tar.TypeSymlink:
			err = writeLink(dir, name, m.Linkname)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", m.Name, err)
		}
	}
}

type counter struct {
	io.Reader
	n *atomic.Int64
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	c.n.Add(int64(n))
	return n, err
}

// memberPath refuses names that would be written outside dir.
func memberPath(dir, name string) (string, error) {
	if !filepath.IsLocal(name) || strings.Contains(name, `\`) {
		return "", &Problem{Kind: ErrArchive, Detail: fmt.Sprintf("member %q would be written outside the folder it is unpacked in", name), Fix: "do not use this archive: it is damaged or hostile"}
	}
	return filepath.Join(dir, filepath.FromSlash(name)), nil
}

func writeMember(ctx context.Context, dir, name string, r io.Reader, done *atomic.Int64) error {
	path, err := memberPath(dir, name)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	mode := fs.FileMode(0o644)
	if strings.Contains(filepath.Base(path), ".so") {
		mode = 0o755
	}
	// O_EXCL: a link that the archive planted is not followed.
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, &interruptible{ctx, &counter{r, done}})
	return errors.Join(err, f.Close())
}

// writeLink makes a link between neighbours (libX.so → libX.so.1); no other kind is found in a libtorch.
func writeLink(dir, name, target string) error {
	path, err := memberPath(dir, name)
	if err != nil {
		return err
	}
	if target == "" || target != filepath.Base(target) || target == ".." {
		return &Problem{Kind: ErrArchive, Detail: fmt.Sprintf("member %q is a link to %q, outside its own folder", name, target), Fix: "do not use this archive: it is damaged or hostile"}
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.Symlink(target, path)
}

// interruptible ends a long copy when ctx ends.
type interruptible struct {
	ctx context.Context
	io.Reader
}

func (r *interruptible) Read(b []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(b)
}
