package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sallyport-auth/sallyport/cmd/sallyport/internal/convert"
)

// convertOptions are the flags of convert.
type convertOptions struct {
	convert.Options
	output string
}

func convertCommand() *cobra.Command {
	var o convertOptions
	cmd := &cobra.Command{
		Use:   "convert INPUT...",
		Short: "Make one declarative file of decK files, Kubernetes objects and calls of the admin API",
		Long: "Convert reads what Kong is configured with: decK and DB-less files; Ingresses with KongPlugin,\n" +
			"KongClusterPlugin, KongConsumer and their Secrets; scripts that call the admin API by curl or http. Several\n" +
			"inputs become one file; - is standard input. What is not in the file as it was is listed on standard error,\n" +
			"with file, line and why (docs/convert.md).\n\n" +
			"A guard that cannot be converted is never just gone: its routes stay and refuse everything.\n\n" +
			"It exits with 0 when everything is in the file, 1 when something was left out or closed, and 2, without a\n" +
			"file, when the conversion is refused. The file holds the secrets of the input.",
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd, args) },
	}
	f := cmd.Flags()
	f.StringVar(&o.From, "from", "auto", "what the inputs are: auto, deck, kong, kubernetes or admin")
	f.StringVarP(&o.output, "output", "o", "", "file to write, readable for its owner only (default: standard output)")
	f.StringVar(&o.Namespace, "namespace", "default", "namespace of Kubernetes objects that name none")
	f.StringVar(&o.IngressClass, "ingress-class", "kong", "class of the Ingresses that are converted; those of no class are too")
	return cmd
}

func (o *convertOptions) run(cmd *cobra.Command, args []string) error {
	if !slices.Contains(convert.Formats, o.From) {
		return usageError{fmt.Errorf("--from is %q: expected %s", o.From, strings.Join(convert.Formats, ", "))}
	}
	var inputs []convert.Input
	for _, name := range args {
		in, err := readInput(name, cmd.InOrStdin())
		if err != nil {
			return usageError{err}
		}
		inputs = append(inputs, in)
	}
	r := convert.Convert(inputs, o.Options)
	for _, n := range r.Notes {
		fmt.Fprintln(cmd.ErrOrStderr(), "sallyport: "+n.String())
	}
	if r.File == nil {
		return usageError{errors.New("nothing is converted")}
	}
	if err := o.write(cmd.OutOrStdout(), r.File); err != nil {
		return err
	}
	if !r.Complete() {
		return exitCode(exitFailure)
	}
	return nil
}

// readInput reads a file, or standard input. One byte beyond the bound is enough to say
// that it is too large.
func readInput(name string, stdin io.Reader) (in convert.Input, err error) {
	in.Name = name
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return in, err
		}
		defer func() { _ = f.Close() }()
		stdin = f
	} else {
		in.Name = "standard input"
	}
	in.Text, err = io.ReadAll(io.LimitReader(stdin, convert.MaxInput+1))
	return in, err
}

// write writes the file whole or not at all.
func (o *convertOptions) write(stdout io.Writer, file []byte) error {
	if o.output == "" {
		_, err := stdout.Write(file)
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(o.output), ".convert-*") // 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp.Name()) }()
	if _, err = tmp.Write(file); err == nil {
		err = tmp.Sync()
	}
	if err = errors.Join(err, tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), o.output)
}
