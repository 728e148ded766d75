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
	"github.com/sallyport-auth/sallyport/internal/registry"
	"github.com/sallyport-auth/sallyport/portal"
)

func demoCommand() *cobra.Command {
	var listen string
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run a gateway with an upstream, an identity provider and two users, to try things out",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkAddress("listen", listen); err != nil {
				return err
			}
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
	pages := freeAddress("127.0.0.1:8003")
	_, port, _ := net.SplitHostPort(pages)
	d, err := demo.Start(listen, "http://"+net.JoinHostPort("localhost", port))
	if err != nil {
		return err
	}
	defer d.Close()
	admin, portalAdmin := freeAddress("127.0.0.1:8001"), freeAddress("127.0.0.1:8002")
	database := "sqlite:" + filepath.Join(d.Dir, "registry.db")
	o := serveOptions{
		common:       common{file: d.File, stateDir: filepath.Join(d.Dir, "state"), logLevel: "warn", logFormat: "text"},
		sidecarFlags: sidecarFlags{adminListen: admin, registry: database},
		listen:       []string{listen},
		cacheDir:     demoCache(d),
	}
	p := portalOptions{common: o.common, registry: database, listen: []string{pages}, authListen: []string{pages}, admin: []string{portalAdmin}, cacheDir: o.cacheDir, workers: 1}
	logger, err := o.logger()
	if err != nil {
		return err
	}
	if err := registerDemo(ctx, d, o.stateDir, database); err != nil {
		return err
	}
	said := make(chan error, 1)
	opened := make(chan string, 1)
	err = together(ctx,
		func(ctx context.Context) error {
			return serve(ctx, o, logger, func([]net.Addr) {
				go func() {
					err := d.WaitReady(ctx)
					if err == nil {
						select {
						case at := <-opened:
							say(d.Text("http://"+admin, at, filepath.Join(o.stateDir, "admin-token")))
						case <-ctx.Done():
						}
					}
					said <- err
				}()
			})
		},
		func(ctx context.Context) error {
			return runPortal(ctx, p, logger, func(p *portal.Portal) { opened <- p.AdminURL() })
		})
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

// registerDemo enters the demo's developers and their applications. One request waits.
func registerDemo(ctx context.Context, d *demo.Demo, stateDir, database string) error {
	secret, err := portal.SecretFile(filepath.Join(stateDir, "installation-secret"))
	if err != nil {
		return err
	}
	db, err := registry.Open(ctx, database, registry.Options{Secret: secret})
	if err != nil {
		return err
	}
	defer db.Close()
	actor := registry.Actor{Kind: "system", Name: "demo"}
	ids := map[string]string{}
	for _, one := range demo.Developers() {
		made, err := db.Register(ctx, actor, registry.Developer{Email: one.Email, Name: one.Name, Issuer: d.Issuer, Subject: one.Subject}, true)
		if err != nil {
			return err
		}
		ids[one.Subject] = made.ID
	}
	for _, a := range demo.Applications {
		made, err := db.CreateApplication(ctx, actor, registry.Application{DeveloperID: ids[a.Owner], Name: a.Name, Description: a.Description, CustomID: a.ClientID})
		if err != nil {
			return err
		}
		for _, service := range a.Access {
			if _, err := db.RequestContract(ctx, actor, made.ID, service, true); err != nil {
				return err
			}
		}
		for _, service := range a.Wants {
			if _, err := db.RequestContract(ctx, actor, made.ID, service, false); err != nil {
				return err
			}
		}
	}
	return nil
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
