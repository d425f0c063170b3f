package console

import (
	"cmp"
	"fmt"
	"os"
	"strings"

	"skerry/appliance/status"
)

// banner says who this is, where it is reached and how it is, and returns what the
// daemon said.
func (c *Console) banner() (status.Status, error) {
	c.line("")
	st, err := c.status()
	if err != nil {
		name, _ := os.Hostname()
		c.line("Skerry on " + name)
		c.lines(away(err))
		c.interfaces()
	} else {
		c.line(fmt.Sprintf("Skerry %s on %s (%s)", st.Version, st.Name, cmp.Or(st.Board.Model, "unknown board")))
		c.lines("Page       " + cmp.Or(strings.Join(st.URLs, "  "), "none: `skerry config show` says where it listens"))
		c.lines("Addresses  " + cmp.Or(strings.Join(st.Board.Addresses, "  "), "none"))
		c.lines("State      " + stateLine(st))
		if u := st.Update.Says(); u != "" {
			c.lines("Update     " + u)
		}
		c.health(st.Health)
	}
	c.line("")
	c.menu()
	return st, err
}

func stateLine(st status.Status) string {
	parts := []string{st.Summary()}
	if st.Progress != nil {
		parts = append(parts, st.Progress.What)
	}
	if st.Model != nil {
		parts = append(parts, st.Model.Name)
	}
	if st.Mode != "" {
		parts = append(parts, "mode "+st.Mode)
	}
	if st.Link.Wanted {
		parts = append(parts, "link "+st.Link.State)
	}
	return strings.Join(parts, ", ")
}

// shownProblems leave the banner on one screen.
const shownProblems = 3

func (c *Console) health(problems []status.Problem) {
	switch n := len(problems); n {
	case 0:
		c.line("Health     nothing is wrong")
	case 1:
		c.line("Health     1 problem:")
	default:
		c.line(fmt.Sprintf("Health     %d problems:", n))
	}
	for _, p := range problems[:min(len(problems), shownProblems)] {
		c.lines(problemText(p))
	}
	if more := len(problems) - shownProblems; more > 0 {
		c.line(fmt.Sprintf("  and %d more: 1 shows them", more))
	}
}

func problemText(p status.Problem) string {
	return fmt.Sprintf("  %s: %s: %s\n    what to do: %s\n", strings.ToUpper(string(p.Severity)), p.Title, p.Text, p.Do)
}
