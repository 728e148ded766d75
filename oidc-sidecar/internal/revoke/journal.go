package revoke

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"strconv"
	"strings"
)

const (
	journalName = "revocations.journal"
	header      = "sallyport revocations 1\n"
	// maxLine is more than any line has.
	maxLine = 256
)

// The words that lines begin with.
const (
	wordRevoked = "revoked"
	wordOnce    = "once"
)

var errLine = errors.New("not a line that was written here")

// record is what a line says.
type record struct {
	once bool
	id   id
	entry
}

func (r record) appendTo(dst []byte) []byte {
	start := len(dst)
	if r.once {
		dst = append(dst, wordOnce+" "...)
		dst = hex.AppendEncode(dst, r.id[:])
	} else {
		dst = append(dst, wordRevoked+" "...)
		dst = hex.AppendEncode(dst, r.id[:])
		dst = append(dst, ' ')
		dst = strconv.AppendInt(dst, r.at, 10)
	}
	dst = append(dst, ' ')
	dst = strconv.AppendInt(dst, r.until, 10)
	return fmt.Appendf(dst, " %08x\n", crc32.ChecksumIEEE(dst[start:]))
}

// parse reads a line with its end. Only what appendTo writes is one.
func parse(line []byte) (record, error) {
	fields := strings.Split(strings.TrimSuffix(string(line), "\n"), " ")
	r := record{once: fields[0] == wordOnce}
	want := 5
	if r.once {
		want = 4
	}
	if len(fields) != want || len(fields[1]) != hex.EncodedLen(len(r.id)) {
		return record{}, errLine
	}
	var errs [3]error
	_, errs[0] = hex.Decode(r.id[:], []byte(fields[1]))
	r.until, errs[1] = strconv.ParseInt(fields[want-2], 10, 64)
	if !r.once {
		r.at, errs[2] = strconv.ParseInt(fields[2], 10, 64)
	}
	// Written again it has to be the same: word, spelling of numbers, checksum.
	if errors.Join(errs[:]...) != nil || string(r.appendTo(nil)) != string(line) {
		return record{}, errLine
	}
	return r, nil
}

// read gives the records of a journal to add, up to a last line without an end.
func read(src io.Reader, add func(record)) error {
	in := bufio.NewReaderSize(src, maxLine)
	for n := 1; ; n++ {
		line, err := in.ReadSlice('\n')
		long := false
		for errors.Is(err, bufio.ErrBufferFull) {
			long = true
			_, err = in.ReadSlice('\n')
		}
		switch {
		case n == 1 && (err == nil || err == io.EOF):
			// A file begins its life whole, so that this line is never torn.
			if long || string(line) != header {
				return errors.New("line 1: not a journal of revocations of this version")
			}
			continue
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		case long:
			return fmt.Errorf("line %d: %w", n, errLine)
		}
		r, err := parse(line)
		if err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		add(r)
	}
}

// file is what a List needs of the journal.
type file interface {
	io.WriteCloser
	Sync() error
}

// disk is what a List needs of a file system.
type disk struct {
	create  func(path string) (file, error) // a new one, 0600
	rename  func(from, to string) error
	syncDir func(path string) error
}

var realDisk = disk{
	create: func(path string) (file, error) {
		// What a crash has left.
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	},
	rename: os.Rename,
	syncDir: func(path string) error {
		d, err := os.Open(path)
		if err != nil {
			return err
		}
		return errors.Join(d.Sync(), d.Close())
	},
}
