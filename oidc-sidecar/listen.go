package sidecar

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// maxSocketPath is what the kernel takes (unix(7), sun_path).
const maxSocketPath = 107

// listenUnix listens on a Unix socket that its owner and one group may use. A
// socket file that a dead process has left is removed; one that somebody answers
// on is not.
func listenUnix(path, group string) (net.Listener, error) {
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("the socket's path is longer than %d bytes: %s", maxSocketPath, path)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, err
	}
	if conn, err := net.Dial("unix", path); err == nil {
		_ = conn.Close()
		return nil, fmt.Errorf("%s is in use by another sidecar", path)
	}
	if info, err := os.Lstat(path); err == nil {
		if info.Mode()&os.ModeSocket == 0 {
			return nil, fmt.Errorf("%s is there and is no socket", path)
		}
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	// Between bind and chmod the socket must not be open to anybody else.
	old := syscall.Umask(0o177)
	l, err := net.Listen("unix", path)
	syscall.Umask(old)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(chgrp(path, group), os.Chmod(path, 0o660)); err != nil {
		_ = l.Close()
		return nil, err
	}
	return l, nil
}

func chgrp(path, group string) error {
	if group == "" {
		return nil
	}
	id, err := strconv.Atoi(group)
	if err != nil {
		g, err := user.LookupGroup(group)
		if err != nil {
			return err
		}
		if id, err = strconv.Atoi(g.Gid); err != nil {
			return err
		}
	}
	return os.Chown(path, -1, id)
}
