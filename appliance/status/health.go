package status

import "time"

// Severity of a problem.
type Severity string

// The severities, worst first.
const (
	Trouble Severity = "trouble" // no answers, or wrong ones
	Warning Severity = "warning" // answers, but fewer, slower or soon none
	Notice  Severity = "notice"  // worth knowing
)

// Problem is one that is there now, ready to be shown.
type Problem struct {
	Code     string    `json:"code"`
	Title    string    `json:"title"`
	Severity Severity  `json:"severity"`
	Text     string    `json:"text"` // what is wrong, with its figures
	Do       string    `json:"do"`   // what to do about it: a command or a page
	Since    time.Time `json:"since"`
}
