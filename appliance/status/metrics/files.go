package metrics

import _ "embed"

// Dashboard for Grafana, to be imported there.
//
//go:embed grafana/dashboard.json
var Dashboard string

// Alerts are rules for Prometheus, one for each kind of trouble.
//
//go:embed grafana/alerts.yaml
var Alerts string
