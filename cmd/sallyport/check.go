package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/sallyport-auth/sallyport/internal/declarative"
	"github.com/sallyport-auth/sallyport/internal/envoyconf"
	sidecar "github.com/sallyport-auth/sallyport/oidc-sidecar"
)

// readDeclarative reads a file without an installation. Findings that do not
// refuse it are returned beside it.
func readDeclarative(path string, ignoreUnsupported bool) (*declarative.File, declarative.Problems, error) {
	return readBeside(path, ignoreUnsupported, nil)
}

// readBeside is readDeclarative with what a registry has beside the file.
func readBeside(path string, ignoreUnsupported bool, further []declarative.Further) (*declarative.File, declarative.Problems, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, usageError{fmt.Errorf("%w: %w", sidecar.ErrFile, err)}
	}
	f, problems := declarative.Parse(path, data, declarative.Options{
		IgnoreUnsupported: ignoreUnsupported, Dir: filepath.Dir(path), Further: further,
	})
	if f == nil {
		return nil, problems, sidecar.Problems{Problems: problems.Errors()}
	}
	return f, problems, nil
}

// severities are the values of --fail-on.
var severities = []declarative.Severity{declarative.Error, declarative.Warning, declarative.Info}

type checkOptions struct {
	ignoreUnsupported bool
	format, failOn    string
}

func checkCommand() *cobra.Command {
	var o checkOptions
	cmd := &cobra.Command{
		Use:   "check FILE",
		Short: "Say everything that is wrong with a declarative file, or unsafe in it",
		Long: "Check reads a declarative file and prints every problem and every insecure setting: its line, what it\n" +
			"exposes, what to do, and the name of its rule (docs/lint.md). Of an Envoy bootstrap it says what is unsafe\n" +
			"about our filter there. It exits with 2 when the file cannot be\n" +
			"loaded, with 1 when something is as bad as --fail-on says, and with 0 otherwise.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return o.check(cmd.OutOrStdout(), args[0]) },
	}
	f := cmd.Flags()
	f.BoolVar(&o.ignoreUnsupported, "ignore-unsupported", false, "leave out plugins that guard nothing instead of refusing the file")
	f.StringVar(&o.format, "format", "text", "text or json")
	f.StringVar(&o.failOn, "fail-on", "error", "exit with 1 on findings from this severity on: error, warning or info")
	return cmd
}

func (o *checkOptions) check(w io.Writer, path string) error {
	if o.format != "text" && o.format != "json" {
		return usageError{fmt.Errorf("--format is %q: expected text or json", o.format)}
	}
	i := slices.IndexFunc(severities, func(s declarative.Severity) bool { return s.String() == o.failOn })
	if i < 0 {
		return usageError{fmt.Errorf("--fail-on is %q: expected error, warning or info", o.failOn)}
	}
	count := func(problems declarative.Problems) (bad int) {
		for _, p := range problems {
			if p.Severity >= severities[i] {
				bad++
			}
		}
		return bad
	}
	if data, err := os.ReadFile(path); err == nil && envoyconf.IsBootstrap(data) {
		problems := envoyconf.Lint(path, data)
		return o.bootstrap(w, path, problems, count(problems))
	}
	f, problems, err := readDeclarative(path, o.ignoreUnsupported)
	bad := count(problems)
	if o.format == "json" {
		return printJSON(w, path, problems, err, bad)
	}
	for _, p := range problems {
		if p.Severity != declarative.Error {
			fmt.Fprintln(w, p)
		}
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%s: %d services, %d routes, %d plugins, %d consumers, %d credentials: can be loaded\n",
		path, len(f.Services), len(f.Routes), len(f.Plugins), len(f.Consumers), len(f.JWTSecrets)+len(f.APIKeys)+len(f.Passwords))
	return o.failing(path, bad)
}

func (o *checkOptions) failing(path string, bad int) error {
	if bad > 0 {
		return fmt.Errorf("%s: findings of severity %s or above: %d (--fail-on)", path, o.failOn, bad)
	}
	return nil
}

// bootstrap says what is unsafe about the filter in a bootstrap of Envoy's.
func (o *checkOptions) bootstrap(w io.Writer, path string, problems declarative.Problems, bad int) error {
	if o.format == "json" {
		return printJSON(w, path, problems, nil, bad)
	}
	for _, p := range problems {
		fmt.Fprintln(w, p)
	}
	fmt.Fprintf(w, "%s: an Envoy bootstrap; whether Envoy accepts it, envoy --mode validate says\n", path)
	return o.failing(path, bad)
}

// checked is what check says of a file, as JSON.
type checked struct {
	File     string         `json:"file"`
	Loadable bool           `json:"loadable"`
	Summary  map[string]int `json:"summary"` // findings by severity
	Problems []finding      `json:"problems"`
}

type finding struct {
	Severity string           `json:"severity"`
	Rule     declarative.Rule `json:"rule"`
	File     string           `json:"file"`
	Line     int              `json:"line"`
	Path     string           `json:"path"`
	Message  string           `json:"message"`
	Fix      string           `json:"fix"`
}

// printJSON prints all there is to say of a file; unloadable is why it cannot be
// loaded, and is not said again.
func printJSON(w io.Writer, path string, problems declarative.Problems, unloadable error, bad int) error {
	if unloadable != nil && len(problems) == 0 {
		problems = declarative.Problems{declarative.NewProblem(declarative.Unreadable, path, 0, "", unloadable.Error())}
	}
	out := checked{File: path, Loadable: unloadable == nil, Summary: map[string]int{}, Problems: []finding{}}
	for _, s := range severities {
		out.Summary[s.String()] = 0
	}
	for _, p := range problems {
		out.Summary[p.Severity.String()]++
		out.Problems = append(out.Problems, finding{p.Severity.String(), p.Rule, p.File, p.Line, p.Path, p.Text, p.Fix})
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(out); err != nil {
		return err
	}
	switch {
	case unloadable != nil:
		return exitCode(exitUsage)
	case bad > 0:
		return exitCode(exitFailure)
	}
	return nil
}
