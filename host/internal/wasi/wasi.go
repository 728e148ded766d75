// Package wasi gives guests the WASI functions that Envoy gives them, which is a
// system with nothing in it: a clock, random bytes, two streams that end in the
// log, no files, no arguments (proxy-wasm-cpp-host, src/exports.cc).
//
// wazero's own WASI is not used: it has files and a poll that sleeps, and a
// guest that runs there may not run in Envoy.
package wasi

import (
	"bytes"
	"context"
	"crypto/rand"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// Errno is a WASI error number.
type Errno uint32

// The error numbers that occur.
const (
	success Errno = 0
	badf    Errno = 8
	fault   Errno = 21
	inval   Errno = 28
	nosys   Errno = 52
	notsup  Errno = 58
)

// Logger takes what a guest writes to its standard output and error. text is good until
// it returns.
type Logger func(ctx context.Context, isError bool, text []byte)

// Bounds of fd_write: of buffers, and of bytes, which Logger may cut further. What is
// beyond counts as written.
const (
	maxBuffers = 1 << 10
	maxWritten = 1 << 20
)

// maxRandom is as much as one call may ask for.
const maxRandom = 64 << 10

const (
	i32 = api.ValueTypeI32
	i64 = api.ValueTypeI64
)

type function struct {
	name   string
	params []api.ValueType
	call   func(ctx context.Context, m api.Memory, stack []uint64) Errno
}

// Register adds the functions to a runtime, under both names of the module. env
// holds the environment variables that guests see, each NAME=value.
func Register(ctx context.Context, r wazero.Runtime, env []string, log Logger) error {
	for _, module := range []string{"wasi_snapshot_preview1", "wasi_unstable"} {
		b := r.NewHostModuleBuilder(module)
		for _, f := range functions(environ(env), log) {
			call := f.call
			b.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(func(ctx context.Context, m api.Module, stack []uint64) {
				stack[0] = uint64(call(ctx, m.Memory(), stack))
			}), f.params, []api.ValueType{i32}).Export(f.name)
		}
		// proc_exit has no result. Envoy logs and goes on; so does a Go guest's
		// runtime, into an unreachable instruction.
		b.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(func(ctx context.Context, _ api.Module, _ []uint64) {
			log(ctx, true, []byte("the guest called proc_exit"))
		}), []api.ValueType{i32}, nil).Export("proc_exit")
		if _, err := b.Instantiate(ctx); err != nil {
			return err
		}
	}
	return nil
}

// environ holds environment variables, each NAME=value.
type environ []string

// sizes is environ_sizes_get(*count, *bytes).
func (e environ) sizes(_ context.Context, m api.Memory, s []uint64) Errno {
	bytes := 0
	for _, v := range e {
		bytes += len(v) + 1
	}
	if !m.WriteUint32Le(uint32(s[0]), uint32(len(e))) || !m.WriteUint32Le(uint32(s[1]), uint32(bytes)) {
		return fault
	}
	return success
}

// get is environ_get(**variables, *text): pointers into the text, in which each
// variable has a zero byte behind it.
func (e environ) get(_ context.Context, m api.Memory, s []uint64) Errno {
	list, text := uint32(s[0]), uint32(s[1])
	for _, v := range e {
		if !m.WriteUint32Le(list, text) || !m.WriteString(text, v+"\x00") {
			return fault
		}
		list += 4
		text += uint32(len(v)) + 1
	}
	return success
}

func functions(env environ, log Logger) []function {
	out := []function{
		{"args_get", types("ii"), func(context.Context, api.Memory, []uint64) Errno { return success }},
		{"args_sizes_get", types("ii"), noneOf},
		{"environ_get", types("ii"), env.get},
		{"environ_sizes_get", types("ii"), env.sizes},
		{"clock_time_get", types("iIi"), clockTime},
		{"clock_res_get", types("ii"), func(context.Context, api.Memory, []uint64) Errno { return nosys }},
		{"random_get", types("ii"), random},
		{"fd_write", types("iiii"), func(ctx context.Context, m api.Memory, s []uint64) Errno { return fdWrite(ctx, m, s, log) }},
		{"fd_fdstat_get", types("ii"), fdStat},
		{"fd_prestat_get", types("ii"), func(context.Context, api.Memory, []uint64) Errno { return badf }},
		{"fd_prestat_dir_name", types("iii"), func(context.Context, api.Memory, []uint64) Errno { return badf }},
		{"fd_close", types("i"), func(context.Context, api.Memory, []uint64) Errno { return nosys }},
		{"fd_read", types("iiii"), func(context.Context, api.Memory, []uint64) Errno { return badf }},
		{"fd_seek", types("iIii"), func(context.Context, api.Memory, []uint64) Errno { return badf }},
		{"poll_oneoff", types("iiii"), poll},
		{"sched_yield", nil, func(context.Context, api.Memory, []uint64) Errno { return success }},
	}
	// What a system without files cannot do.
	for _, f := range []struct{ name, params string }{
		{"fd_advise", "iIIi"}, {"fd_allocate", "iII"}, {"fd_datasync", "i"}, {"fd_fdstat_set_flags", "ii"},
		{"fd_fdstat_set_rights", "iII"}, {"fd_filestat_get", "ii"}, {"fd_filestat_set_size", "iI"},
		{"fd_filestat_set_times", "iIIi"}, {"fd_pread", "iiiIi"}, {"fd_pwrite", "iiiIi"}, {"fd_readdir", "iiiIi"},
		{"fd_renumber", "ii"}, {"fd_sync", "i"}, {"fd_tell", "ii"}, {"path_create_directory", "iii"},
		{"path_filestat_get", "iiiii"}, {"path_filestat_set_times", "iiiiIIi"}, {"path_link", "iiiiiii"},
		{"path_open", "iiiiiIIii"}, {"path_readlink", "iiiiii"}, {"path_remove_directory", "iii"},
		{"path_rename", "iiiiii"}, {"path_symlink", "iiiii"}, {"path_unlink_file", "iii"}, {"proc_raise", "i"},
		{"sock_accept", "iii"}, {"sock_recv", "iiiiii"}, {"sock_send", "iiiii"}, {"sock_shutdown", "ii"},
	} {
		out = append(out, function{f.name, types(f.params), func(context.Context, api.Memory, []uint64) Errno { return nosys }})
	}
	return out
}

// types reads i for i32 and I for i64.
func types(s string) []api.ValueType {
	out := make([]api.ValueType, len(s))
	for i, c := range s {
		out[i] = i32
		if c == 'I' {
			out[i] = i64
		}
	}
	return out
}

// noneOf answers two counts with zero.
func noneOf(_ context.Context, m api.Memory, s []uint64) Errno {
	if !m.WriteUint32Le(uint32(s[0]), 0) || !m.WriteUint32Le(uint32(s[1]), 0) {
		return fault
	}
	return success
}

// clockTime knows the wall clock (0) and a monotonic one (1).
func clockTime(_ context.Context, m api.Memory, s []uint64) Errno {
	var now uint64
	switch uint32(s[0]) {
	case 0:
		now = uint64(time.Now().UnixNano())
	case 1:
		now = uint64(time.Since(started))
	default:
		return notsup
	}
	if !m.WriteUint64Le(uint32(s[2]), now) {
		return fault
	}
	return success
}

var started = time.Now().Add(-time.Second)

func random(_ context.Context, m api.Memory, s []uint64) Errno {
	n := uint32(s[1])
	if n > maxRandom {
		return inval
	}
	dst, ok := m.Read(uint32(s[0]), n)
	if !ok {
		return fault
	}
	_, _ = rand.Read(dst) // never fails
	return success
}

// fdWrite writes a line to the log: fd 1 or 2, a list of buffers. One newline at
// the end is dropped.
func fdWrite(ctx context.Context, m api.Memory, s []uint64, log Logger) Errno {
	fd, list, n, written := uint32(s[0]), uint32(s[1]), uint32(s[2]), uint32(s[3])
	if fd != 1 && fd != 2 {
		return badf
	}
	if n > maxBuffers {
		return inval
	}
	var text []byte
	total := uint32(0)
	for i := range n {
		ptr, ok1 := m.ReadUint32Le(list + 8*i)
		size, ok2 := m.ReadUint32Le(list + 8*i + 4)
		part, ok3 := m.Read(ptr, size)
		if !ok1 || !ok2 || !ok3 {
			return fault
		}
		text = append(text, part[:min(len(part), maxWritten-len(text))]...)
		total += size
	}
	if len(text) > 0 {
		log(ctx, fd == 2, bytes.TrimSuffix(text, []byte{'\n'}))
	}
	if !m.WriteUint32Le(written, total) {
		return fault
	}
	return success
}

// fdStat describes standard output and error as character devices that can be
// written to.
func fdStat(_ context.Context, m api.Memory, s []uint64) Errno {
	if fd := uint32(s[0]); fd != 1 && fd != 2 {
		return badf
	}
	p := uint32(s[1])
	const characterDevice, fdWriteRight = 2, 64
	if !m.WriteUint64Le(p, characterDevice) || !m.WriteUint64Le(p+8, fdWriteRight) || !m.WriteUint64Le(p+16, 0) {
		return fault
	}
	return success
}

// poll reports no events and never sleeps: Go's runtime throws on an error here,
// and a callback must not wait.
func poll(_ context.Context, m api.Memory, s []uint64) Errno {
	if !m.WriteUint32Le(uint32(s[3]), 0) {
		return fault
	}
	return success
}
