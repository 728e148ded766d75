package vm

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"github.com/tetratelabs/wazero"
)

// ErrCache is the kind of errors about the directory of compiled code.
var ErrCache = errors.New("the compilation cache cannot be used")

// openCache opens a directory of compiled code. What is in it runs as native
// code, so a directory that others may write to is refused.
func openCache(dir string) (wazero.CompilationCache, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	info, err := os.Stat(dir)
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o022 != 0 {
		return nil, fmt.Errorf("%s can be written by others (%04o): expected 0700", dir, info.Mode().Perm())
	}
	return wazero.NewCompilationCacheWithDir(dir)
}

// compileWorkers is how many cores compile: all of them, once.
func compileWorkers() int { return runtime.GOMAXPROCS(0) }
