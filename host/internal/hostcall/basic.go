package hostcall

import (
	"context"
	"log/slog"
	"time"

	"github.com/sallyport-auth/sallyport/internal/abi"
)

// proxyLog is proxy_log(level, text, size): BAD_ARGUMENT beyond critical.
func proxyLog(c call) abi.Status {
	level := abi.LogLevel(c.u32(0))
	if level > abi.Critical {
		return abi.BadArgument
	}
	text, ok := c.bytes(1)
	if !ok {
		return abi.InvalidMemoryAccess
	}
	c.env.Log(level, text)
	return abi.OK
}

// Log writes a guest's text to the log of the host, cut to Limits.LogBytes.
func (e *Env) Log(level abi.LogLevel, text []byte) {
	if level < e.LogLevel {
		return
	}
	line := string(text[:min(len(text), e.Limits.LogBytes)])
	if len(line) < len(text) {
		line += "… (cut)"
	}
	e.Logger.Log(context.Background(), slogLevel(level), line)
}

// slogLevel maps the levels; trace and critical are beyond slog's.
func slogLevel(level abi.LogLevel) slog.Level {
	switch level {
	case abi.Trace:
		return slog.LevelDebug - 4
	case abi.Debug:
		return slog.LevelDebug
	case abi.Info:
		return slog.LevelInfo
	case abi.Warn:
		return slog.LevelWarn
	case abi.Error:
		return slog.LevelError
	}
	return slog.LevelError + 4
}

// getLogLevel is proxy_get_log_level(*level), of ABI 0.2.1 only.
func getLogLevel(c call) abi.Status {
	if !c.vm.WriteUint32(c.u32(0), uint32(c.env.LogLevel)) {
		return abi.InvalidMemoryAccess
	}
	return abi.OK
}

// getCurrentTime is proxy_get_current_time_nanoseconds(*time): the wall clock.
func getCurrentTime(c call) abi.Status {
	if !c.vm.WriteUint64(c.u32(0), uint64(time.Now().UnixNano())) {
		return abi.InvalidMemoryAccess
	}
	return abi.OK
}

// setTickPeriod is proxy_set_tick_period_milliseconds(period), of the root
// context; 0 ends ticks.
func setTickPeriod(c call) abi.Status {
	root := c.root()
	if root == nil {
		return abi.BadArgument
	}
	root.SetTick(time.Duration(c.u32(0)) * time.Millisecond)
	return abi.OK
}

// setEffectiveContext is proxy_set_effective_context(id): BAD_ARGUMENT for an
// unknown one. It lasts until the outermost callback returns.
func setEffectiveContext(c call) abi.Status {
	if !c.vm.SetEffective(c.u32(0)) {
		return abi.BadArgument
	}
	return abi.OK
}

// done is proxy_done(): NOT_FOUND unless the root context has put off its end.
func done(c call) abi.Status {
	if root := c.root(); root == nil || !root.Done() {
		return abi.NotFound
	}
	return abi.OK
}
