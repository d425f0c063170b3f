package health

import (
	"cmp"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"skerry/appliance/status"
)

// NoNetwork is a board without an address.
var NoNetwork = declare(Problem{
	Code: "no-network", Title: "No network", Severity: status.Warning,
	Text:  "this board has no address but its own",
	Do:    "plug in the cable or set up the radio: `nmcli device status`, `ip address`",
	After: 20 * time.Second, Gone: 5 * time.Second,
	judge: func(s seen) ([]string, bool) {
		return nil, s.Link.Wanted && !s.Link.Connected && len(s.Board.Addresses) == 0
	},
})

// CertificateExpired is an enrolment that has run out.
var CertificateExpired = declare(Problem{
	Code: "certificate-expired", Title: "Certificate has expired", Severity: status.Warning,
	Text:   "the cloud lets this board in no more: its certificate ended {when}",
	Do:     "get a code there with `skerry cloud invite`, and here: `skerry enroll CODE`",
	Causes: []*Problem{ClockWrong},
	After:  15 * time.Second,
	judge: func(s seen) ([]string, bool) {
		return []string{"when", s.Link.Expires.Format(time.DateOnly)}, certified(s) && s.Link.Expires.Before(s.Time)
	},
})

// CertificateExpiring is one that ought to have been renewed long ago: a board
// renews its own when a third of its life is left.
var CertificateExpiring = declare(Problem{
	Code: "certificate-expiring", Title: "Certificate is about to expire", Severity: status.Warning,
	Text:   "the board's certificate ends {when}, in {days} days, and was not renewed",
	Do:     "see why with `skerry link test`; a new one: `skerry cloud invite` there, `skerry enroll CODE` here",
	Causes: []*Problem{ClockWrong, CertificateExpired},
	After:  15 * time.Second,
	judge: func(s seen) ([]string, bool) {
		left := s.Link.Expires.Sub(s.Time)
		return []string{"when", s.Link.Expires.Format(time.DateOnly), "days", strconv.Itoa(int(left / (24 * time.Hour)))},
			certified(s) && left < 30*24*time.Hour
	},
})

func certified(s seen) bool { return s.Link.Wanted && !s.Link.Expires.IsZero() }

// EnrolmentUnusable is an enrolment whose files cannot be read.
var EnrolmentUnusable = declare(Problem{
	Code: "enrolment-unusable", Title: "Enrolment cannot be used", Severity: status.Warning,
	Text: "the board answers alone: {err}",
	Do:   "enrol it anew: `skerry cloud invite` there, `skerry enroll CODE` here",
})

// CloudRefuses is a cloud that does not want this board.
var CloudRefuses = declare(Problem{
	Code: "cloud-refuses", Title: "Cloud refuses this board", Severity: status.Warning,
	Text:   "{cloud}: {err}",
	Do:     "ask its operator for a code (`skerry cloud invite`), and here: `skerry enroll CODE`",
	Causes: []*Problem{ClockWrong, CertificateExpired},
	After:  15 * time.Second,
	judge: func(s seen) ([]string, bool) {
		return refusal(s), refused(s, "unauthorized", "protocol error")
	},
})

// CloudBundle is a cloud that has another model.
var CloudBundle = declare(Problem{
	Code: "cloud-bundle", Title: "Cloud lacks this model", Severity: status.Warning,
	Text:  "{cloud} does not serve the bundle that this board has: {err}",
	Do:    "serve it there (`skerry cloud serve --bundle DIR`), or take here one that it has: `skerry model fetch`",
	After: 15 * time.Second,
	judge: func(s seen) ([]string, bool) { return refusal(s), refused(s, "unknown bundle") },
})

// CloudBusy is a cloud that has no room for this board at present.
var CloudBusy = declare(Problem{
	Code: "cloud-busy", Title: "Cloud is busy", Severity: status.Notice,
	Text:  "{cloud} has no room at present, the board answers alone: {err}",
	Do:    "wait, or give the cloud more room; there: `skerry cloud devices`",
	After: time.Minute, Gone: time.Minute,
	judge: func(s seen) ([]string, bool) { return refusal(s), refused(s, "busy") },
})

// refused says whether the cloud has said no in one of these words, which the error
// of a link that is down has too.
func refused(s seen, words ...string) bool {
	return slices.ContainsFunc(words, func(word string) bool {
		return s.Link.Refusal == word || !s.Link.Connected && strings.Contains(s.Link.LastError, "cloud answers "+word)
	})
}

func refusal(s seen) []string { return []string{"cloud", s.Link.Cloud, "err", s.Link.LastError} }

// BudgetSpent is a month's bytes that are gone.
var BudgetSpent = declare(Problem{
	Code: "budget-spent", Title: "Month's bytes are spent", Severity: status.Warning,
	Text: "{spent} of {budget} are spent: the board answers alone until the month ends",
	Do:   "raise `cloud.monthly_mb` in the configuration, and `sudo systemctl restart skerry`",
	judge: func(s seen) ([]string, bool) {
		return budget(s), s.Link.Budget > 0 && spent(s) >= s.Link.Budget
	},
})

// BudgetHalf is a month's bytes of which half are gone.
var BudgetHalf = declare(Problem{
	Code: "budget-half", Title: "Half of the month's bytes are spent", Severity: status.Notice,
	Text:   "{spent} of {budget} are spent: from here on hidden states go up in fewer bits, and exact ones not at all",
	Do:     "see what goes over the link with `skerry status`, or raise `cloud.monthly_mb` in the configuration",
	Causes: []*Problem{BudgetSpent},
	judge: func(s seen) ([]string, bool) {
		return budget(s), s.Link.Budget > 0 && spent(s) >= s.Link.Budget/2
	},
})

func spent(s seen) uint64 { return s.Link.BytesUp + s.Link.BytesDown }

func budget(s seen) []string {
	return []string{"spent", status.Bytes(spent(s)), "budget", status.Bytes(s.Link.Budget)}
}

// LinkDown is a cloud that cannot be reached.
var LinkDown = declare(Problem{
	Code: "link-down", Title: "Link is down", Severity: status.Warning,
	Text:   "{cloud} cannot be reached, the board answers alone: {err}",
	Do:     "see which part fails: `skerry link test`",
	Causes: []*Problem{NoNetwork, ClockWrong, CertificateExpired, EnrolmentUnusable, CloudRefuses, CloudBundle, BudgetSpent, MayNothing},
	After:  20 * time.Second, Gone: 5 * time.Second,
	judge: func(s seen) ([]string, bool) {
		why := cmp.Or(s.Link.LastError, s.Link.Reason, "it does not answer")
		return []string{"cloud", s.Link.Cloud, "err", why}, s.Link.Wanted && !s.Link.Connected
	},
})

// LinkUnsteady is one that is lost again and again.
var LinkUnsteady = declare(Problem{
	Code: "link-unsteady", Title: "Link comes and goes", Severity: status.Warning,
	Text:   "the link was lost {times} times in the last 5 minutes: {err}",
	Do:     "see which part fails: `skerry link test`",
	Causes: []*Problem{LinkDown, NoNetwork},
	After:  20 * time.Second, Gone: time.Minute,
	judge: func(s seen) ([]string, bool) {
		limit := uint64(5)
		if s.raised {
			limit = 2
		}
		return []string{"times", strconv.FormatUint(s.reconnects, 10), "err", cmp.Or(s.Link.LastError, s.Link.Reason)},
			s.Link.Wanted && s.reconnects >= limit
	},
})

// LinkPoor is one too slow to ask over.
var LinkPoor = declare(Problem{
	Code: "link-poor", Title: "Link is poor", Severity: status.Notice,
	Text:   "{reason}: the board says more itself",
	Do:     "see what it can do with `skerry link test`",
	Causes: []*Problem{LinkDown, LinkUnsteady},
	After:  2 * time.Minute, Gone: time.Minute,
	judge: func(s seen) ([]string, bool) {
		return []string{"reason", s.Link.Reason}, s.Link.Connected && s.Link.State == "poor"
	},
})

// UDPBlocked is a network that lets no QUIC pass.
var UDPBlocked = declare(Problem{
	Code: "udp-blocked", Title: "UDP is blocked", Severity: status.Notice,
	Text:   "the link goes over TCP, where each lost packet delays all: {why}",
	Do:     "have the network let UDP port {port} pass; `skerry link test` shows when it does",
	Causes: []*Problem{LinkDown},
	After:  30 * time.Second, Gone: 5 * time.Second,
	judge: func(s seen) ([]string, bool) {
		_, port, _ := net.SplitHostPort(s.Link.Cloud)
		return []string{"why", cmp.Or(s.Link.WhyThat, "UDP does not pass"), "port", cmp.Or(port, "7537")}, s.Link.Connected && s.Link.Transport == "tcp"
	},
})

// MayNothing is a cloud that this board was told to send nothing.
var MayNothing = declare(Problem{
	Code: "cloud-may-nothing", Title: "Cloud may see nothing", Severity: status.Notice,
	Text:  "this board was enrolled with --may nothing: it answers alone, though it has a cloud",
	Do:    "to change it: `skerry enroll CODE --may hidden`",
	judge: func(s seen) ([]string, bool) { return nil, s.Link.Wanted && s.Link.May == "nothing" },
})
