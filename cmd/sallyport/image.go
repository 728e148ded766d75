package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sallyport-auth/sallyport/cmd/sallyport/internal/image"
)

func imageCommand() *cobra.Command {
	var filter, dir, tag string
	cmd := &cobra.Command{
		Use:   "image -o DIR",
		Short: "Write the filter as an OCI image layout, for Istio and Envoy Gateway",
		Long: "Image writes a folder that tools for registries can push, such as skopeo copy oci:DIR:TAG or crane push DIR,\n" +
			"and prints the digest to refer to it by. The image has one file, plugin.wasm (examples/kubernetes).",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if dir == "" {
				return usageError{fmt.Errorf("no folder to write into: give one with -o DIR")}
			}
			wasm, err := module(filter)
			if err != nil {
				return err
			}
			digest, err := image.Write(dir, wasm, tag)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), digest)
			return err
		},
	}
	f := cmd.Flags()
	f.StringVarP(&dir, "output", "o", "", "folder to write; it may be there")
	f.StringVar(&filter, "filter", "", "the filter's module (default: the one that is built in)")
	f.StringVar(&tag, "tag", "latest", "name of the image within the layout")
	return cmd
}
