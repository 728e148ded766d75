package host

import "errors"

// The kinds of errors that New, NewChain and Chain.Reload return; errors.Is tells them.
// What an error says begins with the name of the plugin where there are several, and the
// cause, a trap or a file, is wrapped in it.
var (
	// ErrConfig: the Config cannot be used, such as the address of a cluster, or a
	// CacheDir that others may write to.
	ErrConfig = errors.New("host: the configuration cannot be used")
	// ErrModule: what was given is no proxy-wasm module of ABI 0.2.0 or 0.2.1, imports what
	// no host provides, has callbacks of a wrong type, or is beyond the bounds on modules.
	ErrModule = errors.New("host: the module cannot be used")
	// ErrStart: the module trapped, or took longer than Config.Deadline, before it took
	// its configuration.
	ErrStart = errors.New("host: the module does not start")
	// ErrRefused: the module does not want its configuration: on_vm_start or on_configure
	// said no. Why is in what it has logged.
	ErrRefused = errors.New("host: the module refuses its configuration")
	// ErrClosed is what Reload returns once the chain is closed.
	ErrClosed = errors.New("host: the chain is closed")
)

// ofKind gives an error a kind; what it says stays.
func ofKind(kind, err error) error { return kinded{err, kind} }

type kinded struct {
	error
	kind error
}

// Unwrap returns both.
func (k kinded) Unwrap() []error { return []error{k.error, k.kind} }
