package sidecar

import (
	"os"
	"syscall"
)

// inode tells a file that was replaced by renaming from one that stayed.
func inode(info os.FileInfo) any {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return [2]uint64{uint64(st.Dev), st.Ino}
	}
	return nil
}
