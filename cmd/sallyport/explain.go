package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport-auth/sallyport/filter/explain"
	"github.com/sallyport-auth/sallyport/internal/declarative"
	sidecar "github.com/sallyport-auth/sallyport/oidc-sidecar"
)

// explainOptions are the flags of explain.
type explainOptions struct {
	common
	method, url, token string
	headers            []string
	socket, format     string
	bundle, save       string
}

// errRefused ends explain with exitFailure and without a word: everything is said.
var errRefused = errors.New("the request is refused")

func explainCommand() *cobra.Command {
	o := explainOptions{common: common{logFormat: "text"}}
	cmd := &cobra.Command{
		Use:   "explain -c FILE --url URL",
		Short: "Say what becomes of one request, and why",
		Long: "Explain runs the filter's policy on one request and prints the route, each plugin with its checks, what\n" +
			"the sidecar was asked, the decision, and what the upstream or the client gets. Tokens, cookies and\n" +
			"secrets are not printed: a token by a fingerprint, alg, kid, iss and exp.\n\n" +
			"Nothing is sent to an upstream. The sidecar runs in this process with a state directory of its own, unless\n" +
			"--sidecar names one that runs; credentials that are generated, and sessions, are known to that one only.\n" +
			"What it is asked it does: a callback redeems its code, a logout ends the session.\n\n" +
			"With --bundle nobody is asked: the policy runs on what --save-bundle has written, issuers' public keys among\n" +
			"it. Credentials, consumers and sessions, which are not in a bundle, are then not known.\n\n" +
			"It exits with 0 when the request is allowed, 1 when it is not, 2 when that cannot be said.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			err := o.run(cmd)
			var problems sidecar.Problems
			if err == nil || errors.Is(err, errRefused) || errors.As(err, &problems) {
				return err
			}
			return usageError{err}
		},
	}
	f := cmd.Flags()
	f.StringVarP(&o.file, "config", "c", "", "declarative file (kong.yml)")
	f.StringVar(&o.method, "method", "GET", "method of the request")
	f.StringVar(&o.url, "url", "", "address of the request, as the client writes it: https://host/path")
	f.StringArrayVar(&o.headers, "header", nil, "header of the request, 'Name: value'; @FILE reads a line for each; may be repeated")
	f.StringVar(&o.token, "token", "", "bearer token of the Authorization header, from @FILE or from standard input by -")
	f.StringVar(&o.socket, "sidecar", "", "socket of a sidecar that runs, unix:PATH (default: run one)")
	f.StringVar(&o.bundle, "bundle", "", "bundle that --save-bundle has written, instead of a sidecar")
	f.StringVar(&o.save, "save-bundle", "", "write the sidecar's bundle to this file")
	f.StringVar(&o.stateDir, "state-dir", "", "state directory of the sidecar that is run (default: a new one that is removed again)")
	f.StringVar(&o.format, "format", "text", "text or json")
	f.BoolVar(&o.ignoreUnsupported, "ignore-unsupported", false, "leave out plugins that guard nothing instead of refusing the file")
	f.StringVar(&o.logLevel, "log-level", "warn", "debug, info, warn or error")
	return cmd
}

func (o *explainOptions) run(cmd *cobra.Command) error {
	if err := o.needFile(); err != nil {
		return err
	}
	if o.url == "" {
		return errors.New("no request: give its address with --url https://host/path")
	}
	if o.format != "text" && o.format != "json" {
		return fmt.Errorf("--format is %q: expected text or json", o.format)
	}
	r, err := o.request(cmd.InOrStdin(), cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	trace, err := o.trace(cmd.Context(), r)
	if err != nil {
		return err
	}
	write := trace.Text
	if o.format == "json" {
		write = trace.JSON
	}
	if err := write(cmd.OutOrStdout()); err != nil {
		return err
	}
	switch {
	case trace.Decision.Outcome == explain.Allowed:
		return nil
	case o.bundle != "" && trace.Unanswered():
		return usageError{errors.New("--bundle: what becomes of this request cannot be said: it is decided by a credential, a session or the issuer, " +
			"which are not in a bundle: leave --bundle out, or ask the sidecar that runs (--sidecar)")}
	}
	return errRefused
}

// request puts the request together.
func (o *explainOptions) request(stdin io.Reader, stderr io.Writer) (r explain.Request, err error) {
	r = explain.Request{Method: o.method, URL: o.url}
	for _, line := range o.headers {
		lines := []string{line}
		if path, isFile := strings.CutPrefix(line, "@"); isFile {
			text, err := os.ReadFile(path)
			if err != nil {
				return r, fmt.Errorf("--header: %w", err)
			}
			lines = strings.FieldsFunc(string(text), func(c rune) bool { return c == '\n' || c == '\r' })
		}
		for _, one := range lines {
			name, value, ok := strings.Cut(one, ":")
			if !ok {
				return r, errors.New("--header: a line has no colon: expected 'Name: value'")
			}
			name = strings.TrimSpace(name)
			r.Headers = append(r.Headers, explain.Header{Name: name, Value: strings.TrimSpace(value)})
			if one == line && (strings.EqualFold(name, "authorization") || strings.EqualFold(name, "cookie")) {
				fmt.Fprintf(stderr, "sallyport: others on this machine can see the %s header in the list of processes: use --token @FILE or --header @FILE\n", name)
			}
		}
	}
	token, err := o.readToken(stdin)
	if token != "" {
		r.Headers = append(r.Headers, explain.Header{Name: "authorization", Value: "Bearer " + token})
	}
	return r, err
}

// maxInput bounds what is read as a token, so that a wrong file does not fill memory.
const maxInput = 1 << 20

func (o *explainOptions) readToken(stdin io.Reader) (string, error) {
	path, isFile := strings.CutPrefix(o.token, "@")
	switch {
	case o.token == "":
		return "", nil
	case isFile:
		f, err := os.Open(path)
		if err != nil {
			return "", fmt.Errorf("--token: %w", err)
		}
		defer func() { _ = f.Close() }()
		stdin = f
	case o.token != "-":
		return "", errors.New("--token: expected @FILE, or - for standard input: others on this machine can see a command line")
	}
	text, err := io.ReadAll(io.LimitReader(stdin, maxInput))
	if err != nil {
		return "", fmt.Errorf("--token: %w", err)
	}
	token := strings.TrimSpace(string(text))
	if token == "" || strings.ContainsAny(token, " \t\r\n") {
		return "", errors.New("--token: expected one token, and nothing else")
	}
	return token, nil
}

// askTimeout bounds all questions to a sidecar together.
const askTimeout = time.Minute

// trace explains the request with a sidecar in this process, or with one that runs.
func (o *explainOptions) trace(ctx context.Context, r explain.Request) (*explain.Trace, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	socket, err := unixPath("sidecar", o.socket)
	if err != nil {
		return nil, err
	}
	if o.bundle != "" {
		return o.offline(r)
	}
	if socket != "" {
		f, _, err := readDeclarative(o.file, o.ignoreUnsupported)
		if err != nil {
			return nil, err
		}
		return o.by(ctx, f, explain.OnSocket(socket), r)
	}
	logger, err := o.logger()
	if err != nil {
		return nil, err
	}
	if o.stateDir == "" {
		if o.stateDir, err = os.MkdirTemp("", "sallyport-explain-"); err != nil {
			return nil, err
		}
		defer func() { _ = os.RemoveAll(o.stateDir) }()
	}
	sc, err := openSidecar(sidecar.Config{File: o.file, IgnoreUnsupported: o.ignoreUnsupported, StateDir: o.stateDir, Logger: logger})
	if err != nil {
		return nil, err
	}
	defer sc.Close()
	return o.by(ctx, sc.File(), explain.InProcess(sc.Handler()), r)
}

// offline explains the request by a bundle that was saved. Nobody answers questions.
func (o *explainOptions) offline(r explain.Request) (*explain.Trace, error) {
	if o.socket != "" || o.save != "" {
		return nil, errors.New("--bundle asks nobody: expected neither --sidecar nor --save-bundle")
	}
	f, _, err := readDeclarative(o.file, o.ignoreUnsupported)
	if err != nil {
		return nil, err
	}
	in, err := os.Open(o.bundle)
	if err != nil {
		return nil, fmt.Errorf("--bundle: %w", err)
	}
	defer func() { _ = in.Close() }()
	trace, err := explain.Offline(f, in, r)
	if err != nil {
		return nil, fmt.Errorf("--bundle: %s: %w", o.bundle, err)
	}
	return trace, nil
}

// by explains the request with a sidecar.
func (o *explainOptions) by(ctx context.Context, f *declarative.File, sc *explain.Sidecar, r explain.Request) (*explain.Trace, error) {
	bundle, err := sc.Bundle(ctx)
	if err != nil {
		return nil, err
	}
	if o.save != "" {
		if err := os.WriteFile(o.save, []byte(bundle), 0o600); err != nil {
			return nil, fmt.Errorf("--save-bundle: %w", err)
		}
	}
	return explain.Run(f, bundle, r, sc.Ask(ctx))
}
