package sidecar

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// pollInterval is how often the file is looked at. A look is one stat; polling
// works alike on every file system and for the symbolic links of Kubernetes.
const pollInterval = 200 * time.Millisecond

// fileState is what tells two versions of a file apart without reading it.
type fileState struct {
	modified time.Time
	size     int64
	inode    any
}

func readState(path string) (fileState, error) {
	info, err := os.Stat(path)
	if err != nil {
		return fileState{}, err
	}
	if !info.Mode().IsRegular() {
		return fileState{}, fmt.Errorf("%s is no file", path)
	}
	return fileState{info.ModTime(), info.Size(), inode(info)}, nil
}

// maxFile bounds what is read; the parser has a bound of its own.
const maxFile = 64 << 20

// readFile reads a file and says in which state it was.
func readFile(path string) (fileState, []byte, error) {
	state, err := readState(path)
	if err != nil {
		return state, nil, fmt.Errorf("%w: %w", ErrFile, err)
	}
	f, err := os.Open(path)
	if err != nil {
		return state, nil, fmt.Errorf("%w: %w", ErrFile, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return state, nil, fmt.Errorf("%w: %w", ErrFile, err)
	}
	return state, data, nil
}

// ErrFile is why nothing can be loaded when there is no file to read.
var ErrFile = errors.New("the declarative file cannot be read")

// goneAfter is after how many looks in a row a file is not being replaced any
// more, but gone: two seconds.
const goneAfter = 10

// watch calls changed when the file has changed since seen and then stayed the
// same for one interval, so that a file which is being written is not read half.
// It calls gone, once, when there is no file for longer than a replacement takes.
func watch(ctx context.Context, path string, seen fileState, changed func(), gone func(error)) {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	pending, missed := seen, 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now, err := readState(path)
		if err == nil {
			missed = 0
		} else if missed++; missed == goneAfter {
			gone(err)
		}
		switch {
		case err != nil || now == seen:
			pending = seen // a file that is being replaced is gone for a moment
		case now != pending:
			pending = now
		default:
			seen = now
			changed()
		}
	}
}

// Watch calls changed whenever a file has changed, until ctx ends. It is for
// whoever reads a file beside a sidecar that runs elsewhere.
func Watch(ctx context.Context, path string, changed func()) {
	seen, err := readState(path)
	if err != nil {
		seen = fileState{}
	}
	watch(ctx, path, seen, changed, func(error) {})
}

// gone reports that the file is not there any more.
func (s *Sidecar) gone(err error) {
	s.logger.Warn("the declarative file cannot be read, what it said stays in force", "error", err)
}

// Reload reads the file now. A file with an error changes nothing and is
// reported; so is one that cannot be read.
func (s *Sidecar) Reload() error {
	return s.load("the declarative file", func() ([]byte, error) {
		_, data, err := readFile(s.config.File)
		return data, err
	})
}

// load puts in force what read returns. what is what has changed, for the log.
func (s *Sidecar) load(what string, read func() ([]byte, error)) error {
	s.loading.Lock()
	data, err := read()
	if err == nil {
		err = s.use(data)
	}
	file := s.File()
	s.loading.Unlock()
	if err != nil {
		s.reloads.WithLabelValues("refused").Inc()
		var problems Problems
		if errors.As(err, &problems) {
			for _, p := range problems.Problems {
				s.logger.Error(p.String())
			}
			s.logger.Error(what+" is refused, the old one stays in force", "problems", len(problems.Problems))
			return err
		}
		s.logger.Error(what+" is not loaded, the old one stays in force", "error", err)
		return err
	}
	s.reloads.WithLabelValues("ok").Inc()
	s.logger.Info(what+" is in force", "source", file.Source[:12])
	if s.config.OnReload != nil {
		s.config.OnReload(file)
	}
	return nil
}
