package health

import (
	"fmt"
	"strings"
	"time"
)

// markdown lists all problems in Markdown, for the manual.
func markdown() string {
	var b strings.Builder
	b.WriteString("| code | problem | severity | shows after | what to do |\n|---|---|---|---|---|\n")
	for _, p := range declared {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", p.Code, p.Title, p.Severity, after(p.After), p.Do)
	}
	return b.String()
}

func after(d time.Duration) string {
	if d == 0 {
		return "at once"
	}
	return fmt.Sprintf("%g s", d.Seconds())
}
