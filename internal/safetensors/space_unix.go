//go:build linux || darwin || freebsd

package safetensors

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// freeText says how much room is left where dir is, "" where that cannot be found out.
func freeText(dir string) string {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return ""
	}
	return fmt.Sprintf(", %d are free", uint64(s.Bavail)*uint64(s.Bsize))
}
