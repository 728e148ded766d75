// Command sallyport is the one binary: the gateway, the sidecar, the generator of
// Envoy files, the checker, the explainer and the converter. Run without arguments it prints its help.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sallyport-auth/sallyport/internal/registry"
	"github.com/sallyport-auth/sallyport/internal/version"
	sidecar "github.com/sallyport-auth/sallyport/oidc-sidecar"
)

// Exit codes that scripts rely on.
const (
	exitFailure = 1 // something that should have worked did not, or is as bad as --fail-on says
	exitUsage   = 2 // a wrong command line or a file that cannot be loaded
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run runs one command line.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := rootCommand()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	return report(stderr, err)
}

// usageError is an error of whoever called.
type usageError struct{ error }

// exitCode is an error about which everything has been said.
type exitCode int

func (c exitCode) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

// report writes an error, a line for each of its parts, and returns the exit code.
func report(w io.Writer, err error) int {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errRefused):
		return exitFailure
	}
	var code exitCode
	if errors.As(err, &code) {
		return int(code)
	}
	var problems sidecar.Problems
	if errors.As(err, &problems) {
		for _, p := range problems.Problems {
			fmt.Fprintln(w, "sallyport: "+p.String())
		}
		return exitUsage
	}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		fmt.Fprintln(w, "sallyport: "+line)
	}
	var usage usageError
	var name *registry.Invalid // of a registry that cannot be one
	if errors.As(err, &usage) || errors.As(err, &name) {
		return exitUsage
	}
	return exitFailure
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "sallyport",
		Short: "Kong-class authentication for Envoy and for Go",
		Long: "Sallyport enforces the authentication of a Kong declarative file: in Envoy, by a wasm filter,\n" +
			"or in its own gateway, which runs the same filter.",
		Version:       version.String(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE:          help,
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w (%s --help lists the flags)", err, cmd.CommandPath())}
	})
	root.SetHelpCommand(&cobra.Command{Use: "help [COMMAND]", Short: "Say how a command is used", RunE: help})
	root.AddCommand(serveCommand(), sidecarCommand(), envoyCommand(), checkCommand(), explainCommand(), convertCommand(), imageCommand(), portalCommand(), demoCommand())
	for _, c := range root.Commands() {
		prepare(c)
	}
	return root
}

// help prints the help of the command that the arguments name.
func help(cmd *cobra.Command, args []string) error {
	topic, rest, err := cmd.Root().Find(args)
	if err != nil || len(rest) > 0 {
		var names []string
		for _, c := range cmd.Root().Commands() {
			names = append(names, c.Name())
		}
		return usageError{fmt.Errorf("%q is no command: expected one of %s", strings.Join(args, " "), strings.Join(names, ", "))}
	}
	topic.InitDefaultHelpFlag()
	return topic.Help()
}

// prepare makes wrong arguments usage errors and lets SALLYPORT_* variables stand
// for flags that are not given.
func prepare(c *cobra.Command) {
	args, runE := c.Args, c.RunE
	c.Args = func(cmd *cobra.Command, list []string) error {
		if args(cmd, list) == nil {
			return nil
		}
		got := "no arguments"
		if len(list) > 0 {
			got = fmt.Sprintf("arguments %q", list)
		}
		return usageError{fmt.Errorf("%s: expected %s", got, cmd.UseLine())}
	}
	c.RunE = func(cmd *cobra.Command, list []string) error {
		if err := fromEnvironment(cmd.Flags(), os.LookupEnv); err != nil {
			return usageError{err}
		}
		return runE(cmd, list)
	}
}

// fromEnvironment sets flags that were not given from SALLYPORT_NAME.
func fromEnvironment(flags *pflag.FlagSet, lookup func(string) (string, bool)) (err error) {
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Changed || f.Name == "help" {
			return
		}
		name := "SALLYPORT_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		if value, ok := lookup(name); ok {
			if e := flags.Set(f.Name, value); e != nil {
				err = errors.Join(err, fmt.Errorf("%s: %w", name, e))
			}
		}
	})
	return err
}
