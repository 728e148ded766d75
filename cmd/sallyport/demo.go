package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/sallyport-auth/sallyport/cmd/sallyport/internal/demo"
)

func demoCommand() *cobra.Command {
	var listen string
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run a gateway with an upstream, an identity provider and two users, to try things out",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runDemo(cmd.Context(), listen, func(text string) { fmt.Fprintln(cmd.OutOrStdout(), text) })
		},
	}
	cmd.Flags().StringVar(&listen, "listen", defaultListen, "address of the gateway; another port is taken when this one is not free")
	return cmd
}

// runDemo runs the demo until ctx ends. say is called with what the user should
// know once requests pass.
func runDemo(ctx context.Context, listen string, say func(text string)) error {
	listen = freeAddress(listen)
	d, err := demo.Start(listen)
	if err != nil {
		return err
	}
	defer d.Close()
	admin := freeAddress("127.0.0.1:8001")
	o := serveOptions{
		common:       common{file: d.File, stateDir: filepath.Join(d.Dir, "state"), logLevel: "warn", logFormat: "text"},
		sidecarFlags: sidecarFlags{adminListen: admin},
		listen:       []string{listen},
		cacheDir:     demoCache(d),
	}
	logger, err := o.logger()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	said := make(chan error, 1)
	err = serve(ctx, o, logger, func([]net.Addr) {
		go func() {
			err := d.WaitReady(ctx)
			if err == nil {
				say(d.Text("http://" + admin))
			}
			said <- err
		}()
	})
	cancel()
	select {
	case waited := <-said:
		if errors.Is(waited, context.Canceled) {
			waited = nil
		}
		return errors.Join(err, waited)
	default:
		return err
	}
}

// freeAddress returns the address when nobody listens there, else one of the same
// host with a port that is free.
func freeAddress(address string) string {
	l, err := net.Listen("tcp", address)
	if err != nil {
		host, _, _ := net.SplitHostPort(address)
		if l, err = net.Listen("tcp", net.JoinHostPort(host, "0")); err != nil {
			return address // serve says what is wrong with it
		}
	}
	defer l.Close()
	return l.Addr().String()
}

// demoCache is where the demo keeps compiled code, so that its second start is
// quick: the user's cache directory, where there is one.
func demoCache(d *demo.Demo) string {
	dir, err := os.UserCacheDir()
	if err == nil {
		dir = filepath.Join(dir, "sallyport")
		err = os.MkdirAll(dir, 0o700)
	}
	if err != nil {
		return filepath.Join(d.Dir, "cache")
	}
	return dir
}
