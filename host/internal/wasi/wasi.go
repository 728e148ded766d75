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
	"encoding/binary"
	"strings"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/sys"

	"github.com/sallyport-auth/sallyport/host/internal/fault"
	"github.com/sallyport-auth/sallyport/host/internal/vm"
)

// Errno is a WASI error number.
type Errno uint32

// The error numbers that occur.
const (
	success Errno = 0
	badf    Errno = 8
	notdir  Errno = 20
	efault  Errno = 21
	inval   Errno = 28
	noent   Errno = 44
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
	call   call
}

// Register adds the functions to a runtime, under both names of the module. env
// holds the environment variables that guests see, each NAME=value.
func Register(ctx context.Context, r wazero.Runtime, env []string, log Logger) error {
	faults := fault.From(ctx)
	for _, module := range []string{"wasi_snapshot_preview1", "wasi_unstable"} {
		b := r.NewHostModuleBuilder(module)
		for _, f := range functions(environ(env), log) {
			call := f.call
			if faults.Hostcall != nil {
				right := call
				call = func(ctx context.Context, m api.Memory, s []uint64) Errno {
					return Errno(faults.Run(f.name, func() uint32 { return uint32(right(ctx, m, s)) }))
				}
			}
			starts, mallocs := !notAtStart[f.name], inMalloc[f.name]
			b.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(func(ctx context.Context, m api.Module, stack []uint64) {
				vm.From(ctx).Allow(f.name, starts, mallocs)
				stack[0] = uint64(call(ctx, m.Memory(), stack))
			}), faults.Imported(f.name, f.params), []api.ValueType{i32}).Export(f.name)
		}
		// proc_exit has no result. Envoy goes on; so does a Go guest's runtime, into an
		// unreachable instruction. Only a fault fails, and ends the guest.
		b.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(func(ctx context.Context, _ api.Module, _ []uint64) {
			vm.From(ctx).Allow("proc_exit", false, false)
			if status := faults.Run("proc_exit", func() uint32 { return 0 }); status != 0 {
				panic(sys.NewExitError(status))
			}
		}), []api.ValueType{i32}, nil).Export("proc_exit")
		for _, extra := range faults.Extra {
			if name, ok := strings.CutPrefix(extra, module+"."); ok {
				name, params, _ := strings.Cut(name, ":")
				b.NewFunctionBuilder().WithGoModuleFunction(api.GoModuleFunc(func(context.Context, api.Module, []uint64) {}),
					types(params), []api.ValueType{i32}).Export(name)
			}
		}
		if _, err := b.Instantiate(ctx); err != nil {
			return err
		}
	}
	return nil
}

// What a guest may not call while it starts, and all that it may call in its allocator
// (proxy-wasm-cpp-host, src/wasm.cc, startVm; include/proxy-wasm/wasm.h, allocMemory).
// proc_exit may be called in neither.
var (
	notAtStart = map[string]bool{"fd_read": true, "fd_seek": true, "fd_close": true, "path_open": true, "sched_yield": true}
	inMalloc   = map[string]bool{"fd_write": true, "clock_time_get": true, "poll_oneoff": true}
)

// environ holds environment variables, each NAME=value.
type environ []string

// sizes is environ_sizes_get(*count, *bytes).
func (e environ) sizes(_ context.Context, m api.Memory, s []uint64) Errno {
	bytes := 0
	for _, v := range e {
		bytes += len(v) + 1
	}
	if !m.WriteUint32Le(uint32(s[0]), uint32(len(e))) || !m.WriteUint32Le(uint32(s[1]), uint32(bytes)) {
		return efault
	}
	return success
}

// get is environ_get(**variables, *text): pointers into the text, in which each
// variable has a zero byte behind it.
func (e environ) get(_ context.Context, m api.Memory, s []uint64) Errno {
	list, text := uint32(s[0]), uint32(s[1])
	for _, v := range e {
		if !m.WriteUint32Le(list, text) || !m.WriteString(text, v+"\x00") {
			return efault
		}
		list += 4
		text += uint32(len(v)) + 1
	}
	return success
}

func functions(env environ, log Logger) []function {
	out := []function{
		{"args_get", types("ii"), answer(success)},
		{"args_sizes_get", types("ii"), noneOf},
		{"environ_get", types("ii"), env.get},
		{"environ_sizes_get", types("ii"), env.sizes},
		{"clock_time_get", types("iIi"), clockTime},
		{"clock_res_get", types("ii"), clockResolution},
		{"random_get", types("ii"), random},
		{"fd_write", types("iiii"), func(ctx context.Context, m api.Memory, s []uint64) Errno { return fdWrite(ctx, m, s, log) }},
		{"fd_fdstat_get", types("ii"), fdStat},
		{"fd_prestat_get", types("ii"), answer(badf)},
		{"fd_prestat_dir_name", types("iii"), answer(nosys)},
		{"fd_close", types("i"), answer(success)},
		{"fd_read", types("iiii"), answer(nosys)},
		{"fd_pread", types("iiiIi"), answer(nosys)},
		{"fd_pwrite", types("iiiIi"), func(ctx context.Context, m api.Memory, s []uint64) Errno {
			return fdWrite(ctx, m, []uint64{s[0], s[1], s[2], s[4]}, log)
		}},
		{"fd_seek", types("iIii"), answer(success)},
		{"fd_advise", types("iIIi"), answer(success)},
		{"fd_fdstat_set_flags", types("ii"), answer(nosys)},
		{"fd_filestat_get", types("ii"), answer(badf)},
		{"fd_readdir", types("iiiIi"), zero(4, 0, notdir)},
		{"fd_renumber", types("ii"), renumber},
		{"fd_tell", types("ii"), tell},
		{"path_open", types("iiiiiIIii"), answer(noent)},
		{"path_readlink", types("iiiiii"), zero(5, 0, notsup)},
		{"sock_accept", types("iii"), zero(2, 8, notsup)},
		{"sock_recv", types("iiiiii"), receive},
		{"sock_send", types("iiiii"), zero(4, 0, notsup)},
		{"sock_shutdown", types("ii"), answer(notsup)},
		{"poll_oneoff", types("iiii"), poll},
		{"sched_yield", nil, answer(success)},
	}
	// What means nothing for the two streams, and has to be one of them.
	for name, params := range map[string]string{"fd_allocate": "iII", "fd_datasync": "i", "fd_sync": "i",
		"fd_fdstat_set_rights": "iII", "fd_filestat_set_size": "iI", "fd_filestat_set_times": "iIIi"} {
		out = append(out, function{name, types(params), func(_ context.Context, _ api.Memory, s []uint64) Errno { return isStream(s[0]) }})
	}
	// What a system without files cannot do. path_link and path_symlink lack the length of
	// their last path in Envoy, which refuses a guest that imports them as WASI has them.
	for name, params := range map[string]string{"path_create_directory": "iii", "path_filestat_get": "iiiii",
		"path_filestat_set_times": "iiiiIIi", "path_link": "iiiiii", "path_remove_directory": "iii",
		"path_rename": "iiiiii", "path_symlink": "iiii", "path_unlink_file": "iii"} {
		out = append(out, function{name, types(params), answer(notsup)})
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

// call is a function that guests import.
type call = func(ctx context.Context, m api.Memory, stack []uint64) Errno

// answer does nothing.
func answer(e Errno) call { return func(context.Context, api.Memory, []uint64) Errno { return e } }

// zero answers an error with a count of zero: in the i-th argument, of size bytes, 0
// for the usual four.
func zero(i, size int, e Errno) call {
	return func(_ context.Context, m api.Memory, s []uint64) Errno {
		ok := m.WriteUint32Le(uint32(s[i]), 0)
		if size == 8 {
			ok = m.WriteUint64Le(uint32(s[i]), 0)
		}
		if !ok {
			return efault
		}
		return e
	}
}

// receive answers no bytes, and flags of 16 bits that say nothing.
func receive(_ context.Context, m api.Memory, s []uint64) Errno {
	if !m.WriteUint32Le(uint32(s[4]), 0) || !m.WriteUint16Le(uint32(s[5]), 0) {
		return efault
	}
	return notsup
}

func isStream(fd uint64) Errno {
	if uint32(fd) != 1 && uint32(fd) != 2 {
		return badf
	}
	return success
}

func renumber(_ context.Context, _ api.Memory, s []uint64) Errno {
	if isStream(s[0]) != success || isStream(s[1]) != success {
		return badf
	}
	return notsup
}

// tell answers that a stream stands at its beginning.
func tell(_ context.Context, m api.Memory, s []uint64) Errno {
	if isStream(s[0]) != success {
		return badf
	}
	if !m.WriteUint64Le(uint32(s[1]), 0) {
		return efault
	}
	return success
}

// clockResolution is a nanosecond.
func clockResolution(_ context.Context, m api.Memory, s []uint64) Errno {
	if uint32(s[0]) > 1 {
		return notsup
	}
	if !m.WriteUint64Le(uint32(s[1]), 1) {
		return efault
	}
	return success
}

// noneOf answers two counts with zero.
func noneOf(_ context.Context, m api.Memory, s []uint64) Errno {
	if !m.WriteUint32Le(uint32(s[0]), 0) || !m.WriteUint32Le(uint32(s[1]), 0) {
		return efault
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
		return efault
	}
	return success
}

var started = time.Now().Add(-time.Second)

func random(_ context.Context, m api.Memory, s []uint64) Errno {
	n := uint32(s[1])
	if n > maxRandom {
		return inval
	}
	if n == 0 { // wherever it is
		return success
	}
	dst, ok := m.Read(uint32(s[0]), n)
	if !ok {
		return efault
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
		if !ok1 || !ok2 {
			return efault
		}
		if size == 0 { // wherever it is
			continue
		}
		part, ok := m.Read(ptr, size)
		if !ok {
			return efault
		}
		text = append(text, part[:min(len(part), maxWritten-len(text))]...)
		total += size
	}
	if len(text) > 0 {
		log(ctx, fd == 2, bytes.TrimSuffix(text, []byte{'\n'}))
	}
	if !m.WriteUint32Le(written, total) {
		return efault
	}
	return success
}

// fdStat says that standard output and error can be written to.
func fdStat(_ context.Context, m api.Memory, s []uint64) Errno {
	if isStream(s[0]) != success {
		return badf
	}
	const fdWriteRight = 64
	var stat [24]byte
	binary.LittleEndian.PutUint64(stat[8:], fdWriteRight)
	_ = m.Write(uint32(s[1]), stat[:]) // all or nothing, and Envoy does not look either
	return success
}

// poll reports no events and never sleeps: Go's runtime throws on an error here,
// and a callback must not wait.
func poll(_ context.Context, m api.Memory, s []uint64) Errno {
	if !m.WriteUint32Le(uint32(s[3]), 0) {
		return efault
	}
	return success
}
