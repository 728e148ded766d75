package sidecar

import (
	"os"
	"syscall"
)

// FaultVariable names a point of login.Service.Fault at which the process ends as if
// the power had gone, so that tests see what becomes of it. It is read once, at the
// start.
const FaultVariable = "SALLYPORT_TEST_FAULT"

func faults() func(point string) {
	at := os.Getenv(FaultVariable)
	return func(point string) {
		if at != "" && at == point {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
}
