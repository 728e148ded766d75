package main

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/sallyport-auth/sallyport/internal/declarative"
	"github.com/sallyport-auth/sallyport/internal/envoyconf"
	"github.com/sallyport-auth/sallyport/internal/redact"
	sidecar "github.com/sallyport-auth/sallyport/oidc-sidecar"
)

func envoyCommand() *cobra.Command {
	var c common
	var listen []string
	var socket, public, filter, admin, database string
	cmd := &cobra.Command{
		Use:   "envoy -c FILE",
		Short: "Print an Envoy bootstrap that enforces the same file",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := c.needFile(); err != nil {
				return err
			}
			for _, a := range listen {
				if err := checkAddress("listen", a); err != nil {
					return err
				}
			}
			if err := checkAddress("envoy-admin", admin); err != nil {
				return err
			}
			f, problems, err := readDeclarative(c.file, c.ignoreUnsupported)
			if err != nil {
				return err
			}
			for _, p := range problems {
				if p.Severity != declarative.Info {
					fmt.Fprintln(cmd.ErrOrStderr(), "sallyport: "+p.String())
				}
			}
			dir := sidecar.StateDirOf(c.stateDir, f)
			db, err := sidecar.OpenRegistry(cmd.Context(), redact.New(database), f, dir)
			if err != nil {
				return err
			}
			if db != nil {
				defer db.Close()
				if f, err = readWith(cmd.Context(), c.file, c.ignoreUnsupported, db); err != nil {
					return err
				}
			}
			path, err := unixPath("sidecar", socket)
			if err != nil {
				return err
			}
			if path == "" {
				if path, err = filepath.Abs(filepath.Join(dir, sidecar.SocketName)); err != nil {
					return err
				}
			}
			if public, err = publicAddress(public); err != nil {
				return err
			}
			if public == "" {
				if public, err = filepath.Abs(filepath.Join(dir, sidecar.PublicName)); err != nil {
					return err
				}
			}
			module, sum, err := moduleFile(filter, dir)
			if err != nil {
				return err
			}
			out, err := envoyconf.Bootstrap(f, envoyconf.Options{
				Listeners: listeners(listen), Admin: admin, Socket: path, Public: public, Module: module, ModuleSum: sum,
			})
			if err != nil {
				return usageError{err}
			}
			_, err = cmd.OutOrStdout().Write(out)
			return err
		},
	}
	c.register(cmd)
	f := cmd.Flags()
	f.StringSliceVar(&listen, "listen", nil, "address to take traffic on, plain HTTP (default: the file's listeners, else 127.0.0.1:8000)")
	f.StringVar(&database, "registry", "", "database that is added to the file: sqlite:PATH or postgres://… (default: the file's)")
	f.StringVar(&socket, "sidecar", "", "the sidecar's socket, unix:PATH (default sidecar.sock in the state directory)")
	f.StringVar(&public, "sidecar-public", "", "where the sidecar serves identity providers, unix:PATH or IP:PORT (default public.sock in the state directory)")
	f.StringVar(&filter, "filter", "", "the filter's module (default: the one that is built in)")
	f.StringVar(&admin, "envoy-admin", "127.0.0.1:9901", "address of Envoy's own admin interface")
	return cmd
}

// listeners turns --listen into plain listeners.
func listeners(addresses []string) []declarative.Listener {
	var out []declarative.Listener
	for _, a := range addresses {
		out = append(out, declarative.Listener{Address: a})
	}
	return out
}
