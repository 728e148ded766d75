package main

import "github.com/spf13/cobra"

func sidecarCommand() *cobra.Command {
	var c common
	var s sidecarFlags
	var listen, status string
	cmd := &cobra.Command{
		Use:   "sidecar -c FILE",
		Short: "Run the sidecar that Envoy's filters ask",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := c.needFile(); err != nil {
				return err
			}
			logger, err := c.logger()
			if err != nil {
				return err
			}
			socket, err := unixPath("listen", listen)
			if err != nil {
				return err
			}
			if s.public, err = publicAddress(s.public); err != nil {
				return err
			}
			if status != "" {
				if err := checkAddress("status-listen", status); err != nil {
					return err
				}
			}
			sc, err := openSidecar(s.config(c, socket, logger, nil))
			if err != nil {
				return err
			}
			return together(cmd.Context(),
				sc.Run,
				statusServer(status, logger, sc.Ready, sc.Note, sc.Registry()))
		},
	}
	c.register(cmd)
	s.register(cmd)
	cmd.Flags().StringVar(&listen, "listen", "", "socket for filters, unix:PATH (default sidecar.sock in the state directory)")
	cmd.Flags().StringVar(&status, "status-listen", "", "address of /healthz, /readyz and /metrics; empty for none")
	return cmd
}
