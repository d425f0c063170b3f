package main

import (
	"io"

	"skerry/appliance/cli"
	"skerry/appliance/status/metrics"
)

type metricsCmd struct {
	Dashboard dashboardCmd `cmd:"" help:"Print a dashboard for Grafana, to be imported there."`
	Alerts    alertsCmd    `cmd:"" help:"Print alert rules for Prometheus."`
}

// Help is shown above the commands.
func (c *metricsCmd) Help() string {
	return `The daemon serves its metrics at /metrics, for Prometheus to scrape.

Examples:
  skerry metrics dashboard > skerry.json    to be imported in Grafana
  skerry metrics alerts > /etc/prometheus/rules/skerry.yaml
                                            for rule_files of prometheus.yml
`
}

type dashboardCmd struct{}

func (*dashboardCmd) Run(out *cli.Console) error {
	_, err := io.WriteString(out.Stdout, metrics.Dashboard)
	return err
}

type alertsCmd struct{}

func (*alertsCmd) Run(out *cli.Console) error {
	_, err := io.WriteString(out.Stdout, metrics.Alerts)
	return err
}
