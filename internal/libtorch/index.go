package libtorch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// Folders of a partial prefix that are gone from a finished one.
const (
	doneFolder     = ".done"     // an empty file for each wheel that is unpacked
	downloadFolder = ".download" // the wheel that pip is fetching
	unpackFolder   = ".unpack"   // the wheel that is being unpacked
)

// fromIndex downloads the pinned wheels and unpacks them, one after the other; a wheel that an earlier run unpacked is
// not fetched again.
func (in *installation) fromIndex(ctx context.Context) (*Manifest, error) {
	if _, err := checkGlibc(ctx, oldestGlibc); err != nil {
		return nil, err
	}
	tool, err := findPip(ctx)
	if err != nil {
		return nil, err
	}
	var wheels []wheel
	for _, w := range in.pins {
		if in.CUDA || !w.CUDA {
			wheels = append(wheels, w)
		}
	}
	prefix := in.prefix(Version, FromIndex)
	dir := partial(prefix)
	if err := in.spaceFor(wheels, dir); err != nil {
		return nil, err
	}
	in.say("downloading libtorch %s with %s (%s): %d packages into %s", Version, strings.Join(tool.Command, " "), tool.Version, len(wheels), in.Root)
	made := Manifest{Source: FromIndex}
	for i, w := range wheels {
		if err := in.wheel(ctx, tool, w, fmt.Sprintf("%d/%d %s %s", i+1, len(wheels), w.Name, w.Version), dir); err != nil {
			return nil, err
		}
		made.Wheels = append(made.Wheels, fmt.Sprintf("%s==%s sha256:%s", w.Name, w.Version, w.SHA256))
	}
	t, err := inspectUnder(dir, in.arch)
	if err != nil {
		return nil, err
	}
	return in.finish(&found{Tree: t}, dir, prefix, made)
}

// spaceFor adds what is still to come: all wheels unpacked, and the largest of them packed beside them.
func (in *installation) spaceFor(wheels []wheel, dir string) error {
	var unpacked, largest int64
	for _, w := range wheels {
		if exists(marker(dir, w)) {
			continue
		}
		size := w.Size * unpackedPerByte
		if w.Name == "torch" && !in.CUDA {
			size = w.Size // the CUDA half is not unpacked
		}
		unpacked, largest = unpacked+size, max(largest, w.Size)
	}
	return needSpace(in.Root, unpacked+largest)
}

// marker says that a wheel has been unpacked.
func marker(dir string, w wheel) string {
	return filepath.Join(dir, doneFolder, w.Name+"-"+w.SHA256)
}

// wheel fetches and unpacks one wheel into dir.
func (in *installation) wheel(ctx context.Context, tool pip, w wheel, label, dir string) error {
	if exists(marker(dir, w)) {
		in.say("  %s: already unpacked", label)
		return nil
	}
	archive, err := in.fetchWheel(ctx, tool, w, label, filepath.Join(dir, downloadFolder))
	if err != nil {
		return err
	}
	// It goes to a folder of its own and is moved when whole: half a wheel is never taken for one.
	fresh := filepath.Join(dir, unpackFolder)
	if err := os.RemoveAll(fresh); err != nil {
		return diskProblem(err)
	}
	if err := unpack(ctx, archive, fresh, selection(in.CUDA), in.progress); err != nil {
		return err
	}
	if err := merge(fresh, dir); err != nil {
		return diskProblem(err)
	}
	if err := makeDir(filepath.Join(dir, doneFolder)); err != nil {
		return err
	}
	if err := writeFile(marker(dir, w), nil); err != nil {
		return err
	}
	return diskProblem(os.RemoveAll(filepath.Dir(archive)))
}

// fetchWheel downloads one wheel, or takes the whole one an interrupted run left. Its hash is verified here too: a pip
// that was told to trust something else must not decide.
func (in *installation) fetchWheel(ctx context.Context, tool pip, w wheel, label, dir string) (string, error) {
	if left, _ := filepath.Glob(filepath.Join(dir, "*.whl")); len(left) == 1 && verify(ctx, left[0], w.SHA256) == nil {
		in.say("  %s: already downloaded", label)
		return left[0], nil
	}
	if err := os.RemoveAll(dir); err != nil {
		return "", diskProblem(err)
	}
	in.say("  %s (%s)", label, megabytes(w.Size))
	stop := in.watch("  downloading", w.Size, func() int64 { return sizeOf(dir) })
	archive, err := tool.download(ctx, w, in.arch, dir)
	stop()
	if err != nil {
		return "", err
	}
	return archive, verify(ctx, archive, w.SHA256)
}

// verify compares a file with its hash.
func verify(ctx context.Context, path, want string) error {
	got, err := hashOf(ctx, path)
	if err != nil {
		return err
	}
	return compareHash(path, got, want)
}

func compareHash(path, got, want string) error {
	if strings.EqualFold(got, want) {
		return nil
	}
	return &Problem{Kind: ErrHash, Detail: fmt.Sprintf("%s has sha256 %s; want %s", path, got, want), Fix: "take the file again, or one you trust: " + Command + " install --from FILE"}
}

// hashOf is the SHA-256 of a file, in hexadecimal.
func hashOf(ctx context.Context, path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", &Problem{Kind: ErrArchive, Detail: "it cannot be opened", Err: err, Fix: "name a file that exists: " + Command + " install --from FILE"}
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, &interruptible{ctx, f}); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// merge moves the files below from to the same places below to; both are on one file system.
func merge(from, to string) error {
	entries, err := os.ReadDir(from)
	if errors.Is(err, os.ErrNotExist) {
		return nil // the wheel held nothing that is wanted
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		src, dst := filepath.Join(from, e.Name()), filepath.Join(to, e.Name())
		if e.IsDir() && isDir(dst) {
			if err := merge(src, dst); err != nil {
				return err
			}
			continue
		}
		if err := os.RemoveAll(dst); err != nil {
			return err
		}
		if err := os.Rename(src, dst); err != nil {
			return err
		}
	}
	return os.RemoveAll(from)
}
