package main

import (
	"fmt"
	"strings"
	"text/tabwriter"
)

// table of clients and tasks, and below it the reasons of what failed or was skipped.
func table(model string, rows []row) string {
	var out, below strings.Builder
	w := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "client\t%s\n", strings.Join(tasks, "\t"))
	ok, failed, skipped := 0, 0, 0
	for _, r := range rows {
		cells := make([]string, len(tasks))
		for i, name := range tasks {
			switch s := r.results[name]; {
			case r.skipped != "":
				cells[i] = "skipped"
			case s == "none":
				cells[i] = "-"
			default:
				cells[i] = s
			}
			if r.results[name] == "ok" {
				ok++
			}
		}
		fmt.Fprintf(w, "%s\t%s\n", r.client.title(), strings.Join(cells, "\t"))
		failed += r.failed()
		if r.skipped != "" {
			skipped++
			fmt.Fprintf(&below, "%s was skipped: %s\n", r.client.name, r.skipped)
		}
		for _, line := range r.lines {
			if strings.HasPrefix(line, "FAILED ") {
				fmt.Fprintf(&below, "%s: %s\n", r.client.name, line)
			}
		}
	}
	w.Flush()
	return fmt.Sprintf("%s\n%s%d tasks on %s went well, %d failed, %d clients were skipped\n", out.String(), below.String(), ok, model, failed, skipped)
}
