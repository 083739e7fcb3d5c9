package libtorch

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// diskProblem gives a failure to write its message; nil stays nil.
func diskProblem(err error) error {
	var known *Problem
	switch {
	case err == nil, errors.As(err, &known):
		return err
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return &Problem{Kind: ErrDiskFull, Detail: "a file could not be written", Err: err,
			Fix: "free some space and repeat: what was downloaded is kept\nor install elsewhere: FINETUNE_LIBTORCH=/bigger/disk " + Command + " install"}
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return &Problem{Kind: ErrNotWritable, Detail: "a file could not be written", Err: err,
			Fix: "install elsewhere: FINETUNE_LIBTORCH=/a/folder/of/yours " + Command + " install"}
	}
	return err
}

// needSpace fails before a long download rather than near its end.
func needSpace(dir string, need int64) error {
	free, err := freeSpace(existingParent(dir))
	if err != nil || free >= need {
		return nil // where the file system does not say, the write will
	}
	return &Problem{Kind: ErrDiskFull, Detail: fmt.Sprintf("%s has %s free; installing takes %s", dir, megabytes(free), megabytes(need)),
		Fix: fmt.Sprintf("free %s there and repeat\nor install elsewhere: FINETUNE_LIBTORCH=/bigger/disk %s install", megabytes(need-free), Command)}
}

// existingParent is the nearest folder that exists.
func existingParent(dir string) string {
	for !isDir(dir) && dir != filepath.Dir(dir) {
		dir = filepath.Dir(dir)
	}
	return dir
}

func megabytes(n int64) string { return fmt.Sprintf("%d MB", (n+999_999)/1_000_000) }

// makeDir is os.MkdirAll with its message.
func makeDir(dir string) error { return diskProblem(os.MkdirAll(dir, 0o755)) }
