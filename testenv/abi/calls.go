package abi

import "strings"

// A hostcall's parameters, one letter each:
//
//	i, I  a number of 32 and of 64 bits
//	s     bytes: an address and a size
//	t     a path of a property, written with dots, as bytes
//	p     pairs, as bytes
//	v     bytes behind one WASI iovec: address of the iovec, and 1; a variable is an iovec
//	      itself, of what a call gave, or of the address it was set to and the size 0
//	B, P  where the host shall write address and size of what it gives; P: of pairs
//	h, w, W  where the host shall write a number of 16, of 32 and of 64 bits
type call struct {
	module, name string
	params       string
	void         bool // it has no result
}

// calls are the functions that guests import, by the name in scenarios.
var calls = map[string]call{}

func init() {
	for line := range strings.Lines(`
log is
get_log_level w
get_current_time_nanoseconds W
set_tick_period_milliseconds i
set_effective_context i
done
get_buffer_bytes iiiB
get_buffer_status iww
set_buffer_bytes iiis
get_header_map_size iw
get_header_map_pairs iP
set_header_map_pairs ip
get_header_map_value isB
add_header_map_value iss
replace_header_map_value iss
remove_header_map_value is
get_property tB
set_property ts
send_local_response isspi
continue_stream i
close_stream i
http_call spspiw
get_status wB
get_shared_data sBw
set_shared_data ssi
register_shared_queue sw
resolve_shared_queue ssw
enqueue_shared_queue is
dequeue_shared_queue iB
define_metric isw
increment_metric iI
record_metric iI
get_metric iW
call_foreign_function ssB
grpc_call ssspsiw
grpc_stream ssspw
grpc_send isi
grpc_cancel i
grpc_close i
`) {
		if f := strings.Fields(line); len(f) > 0 {
			calls[f[0]] = call{module: "env", name: "proxy_" + f[0], params: strings.Join(f[1:], "")}
		}
	}
	for line := range strings.Lines(`
args_get ii
args_sizes_get ww
environ_get ii
environ_sizes_get ww
clock_res_get iW
clock_time_get iIW
random_get ii
fd_advise iIIi
fd_allocate iII
fd_close i
fd_datasync i
fd_fdstat_get ii
fd_fdstat_set_flags ii
fd_fdstat_set_rights iII
fd_filestat_get ii
fd_filestat_set_size iI
fd_filestat_set_times iIIi
fd_pread iiiIw
fd_prestat_get ii
fd_prestat_dir_name iii
fd_pwrite ivIw
fd_read iiiw
fd_readdir iiiIw
fd_renumber ii
fd_seek iIiw
fd_sync i
fd_tell iW
fd_write ivw
path_create_directory is
path_filestat_get iisi
path_filestat_set_times iisIIi
path_link iisii
path_open iisiIIiw
path_readlink isiiw
path_remove_directory is
path_rename isis
path_symlink sii
path_unlink_file is
poll_oneoff iiiw
sched_yield
sock_accept iiW
sock_recv iiiiwh
sock_send iiiiw
sock_shutdown ii
`) {
		if f := strings.Fields(line); len(f) > 0 {
			calls["wasi."+f[0]] = call{module: "wasi_snapshot_preview1", name: f[0], params: strings.Join(f[1:], "")}
		}
	}
	calls["wasi.proc_exit"] = call{module: "wasi_snapshot_preview1", name: "proc_exit", params: "i", void: true}
}

// types are the WebAssembly parameters of a call: i for 32 bits, I for 64.
func (c call) types() string {
	return strings.NewReplacer("s", "ii", "t", "ii", "p", "ii", "v", "ii", "B", "ii", "P", "ii", "h", "i", "w", "i", "W", "i").Replace(c.params)
}

// outputs are the letters of what the call gives.
func (c call) outputs() string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune("BPhwW", r) {
			return r
		}
		return -1
	}, c.params)
}

// callback is a function that guests export.
type callback struct {
	params int
	result int32 // what is returned unless a scenario says otherwise; -1 for no result
}

// callbacks by their name in scenarios, which is that of the export without
// proxy_on_.
var callbacks = map[string]callback{
	"context_create": {2, -1}, "vm_start": {2, 1}, "configure": {2, 1}, "tick": {1, -1},
	"request_headers": {3, 0}, "request_body": {3, 0}, "request_trailers": {2, 0},
	"response_headers": {3, 0}, "response_body": {3, 0}, "response_trailers": {2, 0},
	"http_call_response": {5, -1}, "queue_ready": {2, -1}, "foreign_function": {3, -1},
	"grpc_receive_initial_metadata": {3, -1}, "grpc_receive": {3, -1},
	"grpc_receive_trailing_metadata": {3, -1}, "grpc_close": {3, -1},
	"done": {1, 1}, "log": {1, -1}, "delete": {1, -1},
	// Not callbacks of the ABI, but functions that a host calls.
	"_initialize": {0, -1}, "_start": {0, -1}, "main": {2, 0}, "malloc": {1, 0},
}

// exportName returns the name under which a module exports a callback.
func exportName(name string) string {
	switch name {
	case "_initialize", "_start", "main", "malloc":
		return name
	}
	return "proxy_on_" + name
}
