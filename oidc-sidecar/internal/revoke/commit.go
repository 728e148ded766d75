package revoke

import (
	"bufio"
	"fmt"
)

// wait returns when a batch is on disk, or could not be put there. The first of
// its callers to get hold of l.commit writes it for all; meanwhile others gather
// in the next one.
func (l *List) wait(b *batch) error {
	l.commit.Lock()
	defer l.commit.Unlock()
	if !b.done {
		l.write(b)
	}
	return b.err
}

// write puts the open batch on disk and then into the tables. l.commit is held.
func (l *List) write(b *batch) {
	l.mu.Lock()
	l.open = nil
	l.mu.Unlock()

	b.done, b.err = true, l.append(b)

	now := roundDown(l.now())
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range b.records {
		if b.err == nil {
			l.table(r.once).add(r.id, r.entry)
		}
		if r.once {
			delete(l.claimed, r.id)
		}
	}
	l.revoked.purge(now, purgeLimit)
	l.once.purge(now, purgeLimit)
}

// append makes a batch durable, or returns an error. l.commit is held.
func (l *List) append(b *batch) error {
	if l.closed {
		return ErrClosed
	}
	if l.damaged {
		if err := l.rewrite(); err != nil {
			return err
		}
	}
	if l.lines > max(2*l.size()+l.slack, l.retry) {
		// A file that is too long but whole is no reason to refuse anything.
		err := l.rewrite()
		if l.damaged {
			return err
		}
		if err != nil {
			l.retry = 2 * l.lines
		}
	}
	_, err := l.file.Write(b.text)
	if err == nil {
		err = l.file.Sync()
	}
	if err != nil {
		l.damaged = true
		return fmt.Errorf("revoke: %w", err)
	}
	l.lines += len(b.records)
	return nil
}

func (l *List) size() int { return len(l.revoked.entries) + len(l.once.entries) }

// rewrite puts a new journal with what is in the tables in the place of the old
// one. With an error the old one is still in use, and whole as far as it was; or
// l.damaged is set. l.commit is held.
func (l *List) rewrite() error {
	path := l.path()
	f, err := l.disk.create(path + ".new")
	if err != nil {
		return fmt.Errorf("revoke: %w", err)
	}
	lines, err := l.writeAll(f)
	if err != nil {
		_ = f.Close()
		return fmt.Errorf("revoke: %w", err)
	}
	// From here on it is not certain which of the two files a crash would leave:
	// what is appended to one of them may be lost with it.
	l.damaged = true
	if err := l.disk.rename(path+".new", path); err != nil {
		_ = f.Close()
		return fmt.Errorf("revoke: %w", err)
	}
	if l.file != nil {
		_ = l.file.Close() // nothing in it is needed any more
	}
	l.file, l.lines = f, lines
	if err := l.disk.syncDir(l.dir); err != nil {
		return fmt.Errorf("revoke: %w", err)
	}
	l.damaged, l.retry = false, 0
	return nil
}

// writeAll writes a whole journal and waits until it is on disk.
func (l *List) writeAll(f file) (lines int, err error) {
	now := roundDown(l.now())
	w := bufio.NewWriterSize(f, 1<<16)
	_, _ = w.WriteString(header) // Flush returns the first error
	var line []byte
	for _, once := range []bool{false, true} {
		for k, e := range l.table(once).entries {
			if e.until < now {
				continue
			}
			line = record{once: once, id: k, entry: e}.appendTo(line[:0])
			_, _ = w.Write(line)
			lines++
		}
	}
	if err := w.Flush(); err != nil {
		return 0, err
	}
	return lines, f.Sync()
}
