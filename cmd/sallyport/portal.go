package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"github.com/sallyport-auth/sallyport/internal/declarative"
	"github.com/sallyport-auth/sallyport/internal/envoyconf"
	"github.com/sallyport-auth/sallyport/internal/redact"
	"github.com/sallyport-auth/sallyport/internal/registry"
	sidecar "github.com/sallyport-auth/sallyport/oidc-sidecar"
	"github.com/sallyport-auth/sallyport/portal"
)

// portalOptions are the flags of portal.
type portalOptions struct {
	common
	registry   string
	listen     []string
	authListen []string
	admin      []string
	adminToken string
	status     string
	kongConf   string
	url        string
	authURL    string
	gatewayURL string
	filter     string
	cacheDir   string
	workers    int
}

func portalCommand() *cobra.Command {
	var o portalOptions
	cmd := &cobra.Command{
		Use:   "portal -c FILE",
		Short: "Run the developer portal",
		Long: "Portal runs the developer portal: developers sign in at an identity provider, register applications, and ask for\n" +
			"access to the services of the file that have application-registration; administrators decide. Its settings are the\n" +
			"block portal of _sallyport in the file, or those of a kong.conf.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.needFile(); err != nil {
				return err
			}
			logger, err := o.logger()
			if err != nil {
				return err
			}
			return runPortal(cmd.Context(), o, logger, nil)
		},
	}
	o.common.register(cmd)
	f := cmd.Flags()
	f.StringVar(&o.registry, "registry", "", "database of developers, applications and contracts: sqlite:PATH or postgres://… (default: the file's)")
	f.StringSliceVar(&o.listen, "listen", nil, "address of the pages, plain HTTP (default: portal_gui_listen, else 127.0.0.1:8003)")
	f.StringSliceVar(&o.authListen, "auth-listen", nil, "address that logins come back to (default: portal_api_listen, else 127.0.0.1:8004)")
	f.StringSliceVar(&o.admin, "admin-listen", nil, "address for administrators (default: admin_listen of the block, else 127.0.0.1:8001)")
	f.StringVar(&o.adminToken, "admin-token", "", "token that opens everything to administrators (default: generated into the state directory)")
	f.StringVar(&o.status, "status-listen", "", "address of /healthz, /readyz and /metrics; empty for none")
	f.StringVar(&o.kongConf, "kong-conf", "", "kong.conf with the settings portal_…, in the place of the block portal")
	f.StringVar(&o.url, "url", "", "origin of the pages as browsers see it (default: portal_gui_url or portal_gui_host, else localhost and the port)")
	f.StringVar(&o.authURL, "auth-url", "", "origin that logins come back to (default: portal_api_url, else that of the pages with the other port)")
	f.StringVar(&o.gatewayURL, "gateway-url", "", "origin of the services, for the commands that developers are shown (default: gateway_url, else the file's listener)")
	f.StringVar(&o.filter, "filter", "", "the filter's module (default: the one that is built in)")
	f.StringVar(&o.cacheDir, "cache-dir", "", "where compiled code is kept (default: cache in the state directory)")
	f.IntVar(&o.workers, "workers", 0, "instances of the filter (default 2)")
	return cmd
}

// settings puts the file's, kong.conf's and the flags' settings together.
func (o *portalOptions) settings(file *declarative.File, logger *slog.Logger) error {
	if o.kongConf != "" {
		if file.Settings.Portal != nil {
			return usageError{errors.New("the portal is set up twice: by --kong-conf, and by the block portal of the file")}
		}
		p, problems, err := portal.ReadKongConf(o.kongConf)
		if err != nil {
			return usageError{err}
		}
		if p == nil && len(problems.Errors()) > 0 {
			return sidecar.Problems{Problems: problems.Errors()}
		}
		for _, one := range problems {
			logger.Info(one.String())
		}
		file.Settings.Portal = p
	}
	p := file.Settings.Portal
	if p == nil {
		return usageError{fmt.Errorf("%s has no portal: expected the block portal in _sallyport, or --kong-conf", o.file)}
	}
	for _, list := range []struct {
		flag string
		from []string
		to   *[]declarative.Listener
	}{{"listen", o.listen, &p.GUI}, {"auth-listen", o.authListen, &p.API}, {"admin-listen", o.admin, &p.Admin}} {
		if len(list.from) == 0 {
			continue
		}
		*list.to = nil
		for _, address := range list.from {
			if err := checkAddress(list.flag, address); err != nil {
				return err
			}
			*list.to = append(*list.to, declarative.Listener{Address: address})
		}
	}
	for _, one := range []struct {
		flag, from string
		to         *string
	}{{"url", o.url, &p.URL}, {"auth-url", o.authURL, &p.APIURL}, {"gateway-url", o.gatewayURL, &p.GatewayURL}} {
		if one.from == "" {
			continue
		}
		if wrong := declarative.CheckOrigin(one.from); wrong != "" {
			return usageError{fmt.Errorf("--%s %s", one.flag, wrong)}
		}
		*one.to = one.from
	}
	return nil
}

// runPortal runs a portal until ctx ends. opened is called with it, when not nil.
func runPortal(ctx context.Context, o portalOptions, logger *slog.Logger, opened func(*portal.Portal)) error {
	read := func(further []declarative.Further) (*declarative.File, declarative.Problems, error) {
		f, problems, err := readBeside(o.file, o.ignoreUnsupported, further)
		if err == nil {
			if err = o.settings(f, logger); err != nil {
				return nil, nil, err
			}
		}
		return f, problems, err
	}
	file, _, err := read(nil)
	if err != nil {
		return err
	}
	if o.status != "" {
		if err := checkAddress("status-listen", o.status); err != nil {
			return err
		}
	}
	wasm, err := module(o.filter)
	if err != nil {
		return err
	}
	stateDir, err := filepath.Abs(sidecar.StateDirOf(o.stateDir, file))
	if err != nil {
		return err
	}
	secret := redact.New(file.Settings.InstallationSecret)
	if secret.Empty() {
		if secret, err = portal.SecretFile(filepath.Join(stateDir, "installation-secret")); err != nil {
			return err
		}
	}
	token := redact.New(o.adminToken)
	if token.Empty() {
		if token, err = portal.SecretFile(filepath.Join(stateDir, "admin-token")); err != nil {
			return err
		}
	}
	if o.registry == "" {
		o.registry = file.Settings.Registry
	}
	if o.registry == "" {
		return usageError{errors.New("no registry: expected registry in _sallyport, or --registry sqlite:PATH; the gateway's is the same")}
	}
	if _, err := sidecar.RegistryFile(redact.New(o.registry), stateDir); err != nil {
		return err
	}
	var current atomic.Pointer[declarative.File] // as it was read last
	current.Store(file)
	db, err := registry.Open(ctx, o.registry, registry.Options{Secret: secret, Reserved: func(kind, field, value string) bool {
		return kind == "consumers" && consumerHas(current.Load(), field, value)
	}})
	if err != nil {
		return err
	}
	defer db.Close()
	p, err := portal.Open(ctx, portal.Config{
		Read: func(further []declarative.Further) (*declarative.File, declarative.Problems) {
			f, problems, err := read(further)
			if err != nil && len(problems.Errors()) == 0 {
				problems = append(problems, declarative.NewProblem(declarative.Unreadable, o.file, 0, "", err.Error()))
			}
			if f != nil {
				current.Store(f)
			}
			return f, problems
		},
		Dir: filepath.Dir(o.file), StateDir: stateDir, Registry: db, Secret: secret, Token: token, TokenGiven: o.adminToken != "",
		Module: wasm, Env: []string{"GOGC=" + envoyconf.GOGC}, Deadline: deadline(o.filter), CacheDir: cacheDir(o.cacheDir, stateDir),
		Workers: o.workers, Logger: logger,
	})
	var problems portal.Problems
	if errors.As(err, &problems) {
		return sidecar.Problems{Problems: problems.Problems}
	}
	if err != nil {
		return err
	}
	if opened != nil {
		opened(p)
	}
	reload := func() {
		if err := p.Reload(ctx); err != nil {
			logger.Error("the declarative file is refused, what the portal shows stays", "error", err)
			return
		}
		logger.Info("the declarative file is in force in the portal")
	}
	return together(ctx,
		p.Run,
		func(ctx context.Context) error { sidecar.Watch(ctx, o.file, reload); return nil },
		statusServer(o.status, logger, p.Ready, func() string { return "" }, prometheus.Gatherers{p.Metrics(), moduleGatherer(wasm)}))
}

// consumerHas reports whether a consumer of the file has a value. No application may have
// it as its client id: the gateway looks in the file first, and would take whoever comes
// with that id for the file's consumer.
func consumerHas(file *declarative.File, field, value string) bool {
	return slices.ContainsFunc(file.Consumers, func(c *declarative.Consumer) bool {
		switch field {
		case "id":
			return c.ID == value
		case "username":
			return strings.EqualFold(c.Username, value)
		case "custom_id":
			return c.CustomID == value
		}
		return false
	})
}

// moduleGatherer says which module runs.
func moduleGatherer(wasm []byte) prometheus.Gatherer {
	r := prometheus.NewRegistry()
	r.MustRegister(moduleInfo(wasm))
	return r
}
