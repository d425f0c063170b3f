package doctor

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"skerry/appliance/status"
)

// Report is what skerry doctor --json prints.
type Report struct {
	OK     bool     `json:"ok"`
	Daemon bool     `json:"daemon"` // it runs
	Checks Findings `json:"checks"`
}

// Text is a finding in lines of so many columns, 0 for no limit: what was found and what to
// do, wrapped beside the name of the check.
func (f Finding) Text(columns int) string {
	if columns == 0 {
		columns = math.MaxInt
	}
	head := fmt.Sprintf("%-4s  %-11s  ", f.Result, f.Check)
	columns = max(columns-len(head), 20)
	lines := status.Wrap(status.Printable(f.Detail), columns)
	if f.ToDo != "" {
		for i, l := range status.Wrap(status.Printable(f.ToDo), columns-3) {
			mark := "-> "
			if i > 0 {
				mark = "   "
			}
			lines = append(lines, mark+l)
		}
	}
	var b strings.Builder
	for _, l := range lines {
		fmt.Fprintln(&b, head+l)
		head = strings.Repeat(" ", len(head))
	}
	return b.String()
}

// LinkReport is what skerry link test --json prints.
type LinkReport struct {
	Cloud  string   `json:"cloud"`
	OK     bool     `json:"ok"`
	Checks Findings `json:"checks"`
}

// linkWords are what skerry link test has always called the results, in JSON too.
var linkWords = map[Result]Result{Pass: "PASS", Fail: "FAIL", Skip: "SKIP"}

// Report of what a test has found.
func (t *LinkTest) Report(found Findings) LinkReport {
	r := LinkReport{Cloud: t.Cloud(), OK: !found.Any(Fail), Checks: slices.Clone(found)}
	for i, f := range r.Checks {
		r.Checks[i].Result = linkWords[f.Result]
	}
	return r
}

// LinkText is a finding as skerry link test prints it.
func (f Finding) LinkText() string {
	text := fmt.Sprintf("%s %-8s %s\n", linkWords[f.Result], f.Check, f.Detail)
	if f.ToDo != "" {
		text += fmt.Sprintf("     %-8s -> %s\n", "", f.ToDo)
	}
	return text
}
