package main

import (
	"io"

	"skerry/appliance/cli"
	"skerry/appliance/cloudnode"
	"skerry/appliance/status/metrics"
)

type metricsCmd struct {
	Dashboard dashboardCmd `cmd:"" help:"Print a dashboard for Grafana, to be imported there."`
	Alerts    alertsCmd    `cmd:"" help:"Print alert rules for Prometheus."`
}

// Help is shown above the commands.
func (c *metricsCmd) Help() string {
	return `The daemon serves its metrics at /metrics, for Prometheus to scrape, and a cloud does
where skerry cloud --metrics says.

Examples:
  skerry metrics dashboard > skerry.json    to be imported in Grafana
  skerry metrics dashboard --cloud > skerry-cloud.json
                                            the same for clouds
  skerry metrics alerts > /etc/prometheus/rules/skerry.yaml
                                            for rule_files of prometheus.yml
`
}

type dashboardCmd struct {
	Cloud bool `help:"Print that of clouds instead of boards."`
}

func (c *dashboardCmd) Run(out *cli.Console) error {
	text := metrics.Dashboard
	if c.Cloud {
		text = cloudnode.Dashboard
	}
	_, err := io.WriteString(out.Stdout, text)
	return err
}

type alertsCmd struct{}

func (*alertsCmd) Run(out *cli.Console) error {
	_, err := io.WriteString(out.Stdout, metrics.Alerts)
	return err
}
