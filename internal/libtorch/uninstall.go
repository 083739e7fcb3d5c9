package libtorch

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
)

// Uninstall takes the flags out of Go's configuration and removes the current prefix; with all, every prefix below root
// ("" means Root()). A libtorch that lies elsewhere is not touched.
func Uninstall(ctx context.Context, root string, all bool, out io.Writer) error {
	if root == "" {
		var err error
		if root, err = Root(); err != nil {
			return err
		}
	}
	p := newProgress(out)
	if !isDir(root) {
		p.say("nothing is installed in %s", root)
		return nil
	}
	unlock, err := lock(ctx, root, p)
	if err != nil {
		return err
	}
	defer unlock()
	changed, err := Unpersist(ctx, root)
	if changed {
		p.say("the flags are no longer in Go's configuration")
	}
	// The pointer first: an interruption leaves folders nobody uses, and the next run removes them.
	patterns := []string{"current", ".partial-*", ".old-*", ".tmp-*"}
	if m, _ := Current(root); m != nil && !all { // damaged or not
		patterns = append(patterns, filepath.Base(m.prefix))
	}
	if all {
		patterns = append(patterns, "libtorch-*")
	}
	for _, pattern := range patterns {
		found, _ := filepath.Glob(filepath.Join(root, pattern))
		for _, path := range found {
			if isDir(path) {
				p.say("removing %s", path)
			}
			err = errors.Join(err, diskProblem(os.RemoveAll(path)))
		}
	}
	return err
}
