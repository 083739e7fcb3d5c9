package libtorch

import (
	"context"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
)

// lock makes this the only run that changes root. The operating system frees the lock when its holder dies, however.
func lock(ctx context.Context, root string, p *progress) (unlock func(), err error) {
	if err := makeDir(root); err != nil {
		return nil, err
	}
	l := flock.New(filepath.Join(root, "lock"))
	got, err := l.TryLock()
	if err == nil && !got {
		p.say("another run is installing into %s: waiting for it to end", root)
		_, err = l.TryLockContext(ctx, 200*time.Millisecond)
	}
	if err != nil {
		if ctx.Err() != nil {
			return nil, &Problem{Kind: ErrLocked, Detail: root + "/lock", Err: ctx.Err(), Fix: "wait for the other run to end, or end it"}
		}
		return nil, diskProblem(err)
	}
	return func() { _ = l.Unlock() }, nil
}
