package libtorch

import "golang.org/x/sys/unix"

// freeSpace is what an ordinary user may still write on dir's file system, in bytes.
func freeSpace(dir string) (int64, error) {
	var s unix.Statfs_t
	err := unix.Statfs(dir, &s)
	return int64(s.Bavail) * s.Bsize, err
}
