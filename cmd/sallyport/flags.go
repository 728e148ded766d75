package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sallyport-auth/sallyport/internal/declarative"
	"github.com/sallyport-auth/sallyport/internal/redact"
	sidecar "github.com/sallyport-auth/sallyport/oidc-sidecar"
	"github.com/sallyport-auth/sallyport/portal"
)

// common are the flags that most commands have.
type common struct {
	file              string
	stateDir          string
	ignoreUnsupported bool
	logLevel          string
	logFormat         string
}

func (c *common) register(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVarP(&c.file, "config", "c", "", "declarative file (kong.yml)")
	f.StringVar(&c.stateDir, "state-dir", "", "where state is kept (default $STATE_DIRECTORY, else the XDG state directory)")
	f.BoolVar(&c.ignoreUnsupported, "ignore-unsupported", false, "leave out plugins that guard nothing (cors, rate limiting, loggers …) instead of refusing the file")
	f.StringVar(&c.logLevel, "log-level", "info", "debug, info, warn or error")
	f.StringVar(&c.logFormat, "log-format", "text", "text or json")
}

// logger returns a logger to standard error.
func (c *common) logger() (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.logLevel)); err != nil {
		return nil, usageError{fmt.Errorf("--log-level is %q: expected debug, info, warn or error", c.logLevel)}
	}
	options := &slog.HandlerOptions{Level: level}
	switch c.logFormat {
	case "text":
		return slog.New(slog.NewTextHandler(os.Stderr, options)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(os.Stderr, options)), nil
	}
	return nil, usageError{fmt.Errorf("--log-format is %q: expected text or json", c.logFormat)}
}

// needFile reports a command line without a declarative file.
func (c *common) needFile() error {
	if c.file == "" {
		return usageError{fmt.Errorf("no declarative file: give one with -c kong.yml")}
	}
	return nil
}

// sidecarFlags are the flags of whatever runs a sidecar.
type sidecarFlags struct {
	adminListen string
	adminToken  string
	adminHosts  []string
	socketGroup string
	registry    string
	public      string
}

func (s *sidecarFlags) register(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&s.adminListen, "admin-listen", "127.0.0.1:8001", "address of the admin API, loopback unless --admin-token is given; empty for none")
	f.StringVar(&s.adminToken, "admin-token", "", "token of the admin API (default: generated into the state directory)")
	f.StringSliceVar(&s.adminHosts, "admin-host", nil, "host name, beside those of loopback, that the admin API answers to")
	f.StringVar(&s.public, "public-listen", "", "where identity providers' requests arrive that the proxy hands on, unix:PATH or HOST:PORT (default public.sock in the state directory)")
	f.StringVar(&s.registry, "registry", "", "database that is added to the file: sqlite:PATH or postgres://… (default: the file's)")
	f.StringVar(&s.socketGroup, "socket-group", "", "group that may use the filters' socket")
}

// openSidecar opens a sidecar; a file that cannot be loaded is a usage error.
func openSidecar(config sidecar.Config) (*sidecar.Sidecar, error) {
	if config.AdminListen != "" {
		if err := checkAddress("admin-listen", config.AdminListen); err != nil {
			return nil, err
		}
	}
	sc, err := sidecar.Open(config)
	if errors.Is(err, sidecar.ErrFile) {
		err = usageError{err}
	}
	return sc, err
}

// checkAddress refuses what nobody could listen on.
func checkAddress(flag, value string) error {
	_, port, err := net.SplitHostPort(value)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return usageError{fmt.Errorf("--%s is %q: expected HOST:PORT", flag, value)}
	}
	return nil
}

// config returns the configuration of a sidecar.
func (s *sidecarFlags) config(c common, socket string, logger *slog.Logger, onReload func(*declarative.File)) sidecar.Config {
	return sidecar.Config{
		File: c.file, IgnoreUnsupported: c.ignoreUnsupported, StateDir: c.stateDir,
		Socket: socket, SocketGroup: s.socketGroup, Public: s.public,
		AdminListen: s.adminListen, AdminToken: redact.New(s.adminToken), Registry: redact.New(s.registry),
		Admin:  func(a sidecar.Admin) (http.Handler, error) { return s.admin(a, logger) },
		Logger: logger, OnReload: onReload,
	}
}

// admin makes the admin API of a sidecar.
func (s *sidecarFlags) admin(a sidecar.Admin, logger *slog.Logger) (http.Handler, error) {
	given := redact.Secret{}
	if a.Given {
		given = a.Token
	}
	if err := portal.CheckAdminListen(a.Addr, given); err != nil {
		return nil, err
	}
	return portal.NewAdmin(portal.AdminConfig{
		Registry: a.Registry, File: a.File, Check: a.Check, Token: a.Token, Hosts: s.adminHosts, Logger: logger.With("component", "admin"),
	}), nil
}

// unixPath reads an address unix:PATH.
func unixPath(flag, value string) (string, error) {
	if value == "" {
		return "", nil
	}
	path, ok := strings.CutPrefix(value, "unix:")
	if !ok || path == "" {
		return "", usageError{fmt.Errorf("--%s is %q: expected unix:PATH", flag, value)}
	}
	return filepath.Abs(path)
}

// publicAddress reads where a sidecar serves identity providers: unix:PATH or
// HOST:PORT.
func publicAddress(value string) (string, error) {
	if value == "" || strings.HasPrefix(value, "unix:") {
		return unixPath("public-listen", value)
	}
	return value, checkAddress("public-listen", value)
}
