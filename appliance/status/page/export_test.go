package page

import "skerry/appliance/status"

// Renderer returns what renders the live parts of the page once.
func Renderer(now func() status.Status, logs *status.Logs) func() map[string]string {
	return (&server{Source: Source{Status: now, Logs: logs}, parts: map[string]rendered{}}).sections
}
