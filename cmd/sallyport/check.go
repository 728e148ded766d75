package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/sallyport-auth/sallyport/internal/declarative"
	sidecar "github.com/sallyport-auth/sallyport/oidc-sidecar"
)

// readDeclarative reads a file without an installation. Findings that do not
// refuse it are returned beside it.
func readDeclarative(path string, ignoreUnsupported bool) (*declarative.File, declarative.Problems, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, usageError{fmt.Errorf("%w: %w", sidecar.ErrFile, err)}
	}
	f, problems := declarative.Parse(path, data, declarative.Options{
		IgnoreUnsupported: ignoreUnsupported, Dir: filepath.Dir(path),
	})
	if f == nil {
		return nil, problems, sidecar.Problems{Problems: problems.Errors()}
	}
	return f, problems, nil
}

func checkCommand() *cobra.Command {
	var ignore bool
	cmd := &cobra.Command{
		Use:   "check FILE",
		Short: "Say everything that is wrong with a declarative file",
		Long:  "Check reads a declarative file and prints every problem with its line. It exits with 2 when the\nfile cannot be loaded, and with 0 when it can, whatever else there is to say about it.",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f, problems, err := readDeclarative(args[0], ignore)
			for _, p := range problems {
				if p.Severity != declarative.Error {
					fmt.Fprintln(cmd.OutOrStdout(), p)
				}
			}
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: %d services, %d routes, %d plugins, %d consumers, %d jwt credentials: can be loaded\n",
				args[0], len(f.Services), len(f.Routes), len(f.Plugins), len(f.Consumers), len(f.JWTSecrets))
			return nil
		},
	}
	cmd.Flags().BoolVar(&ignore, "ignore-unsupported", false, "leave out plugins that guard nothing instead of refusing the file")
	return cmd
}
