package health

import (
	"cmp"
	"net"
	"slices"
	"strings"
	"time"

	"skerry/appliance/status"
)

// NoNetwork is a board without an address.
var NoNetwork = declare(Problem{
	Code: "no-network", Title: "No network", Severity: status.Warning,
	Text:  "this board has no network address",
	Do:    "plug in the cable or set up Wi-Fi: `nmcli device status`, `ip address`",
	After: 20 * time.Second, Gone: 5 * time.Second,
	judge: func(s seen) ([]string, bool) {
		return nil, s.Link.Wanted && !s.Link.Connected && len(s.Board.Addresses) == 0
	},
})

// CertificateExpired is an enrolment that has run out.
var CertificateExpired = declare(Problem{
	Code: "certificate-expired", Title: "Certificate has expired", Severity: status.Warning,
	Text:   "the cloud no longer accepts this board: its certificate expired on {when}",
	Do:     "get a code on the cloud with `skerry cloud invite`, then here: `skerry enroll CODE`",
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
	Text:   "the board's certificate expires on {when}, in {days}, and was not renewed",
	Do:     "see why with `skerry link test`; for a new one: `skerry cloud invite` on the cloud, then `skerry enroll CODE` here",
	Causes: []*Problem{ClockWrong, CertificateExpired},
	After:  15 * time.Second,
	judge: func(s seen) ([]string, bool) {
		left := s.Link.Expires.Sub(s.Time)
		return []string{"when", s.Link.Expires.Format(time.DateOnly), "days", status.Plural(int(left/(24*time.Hour)), "day")},
			certified(s) && left < 30*24*time.Hour
	},
})

func certified(s seen) bool { return s.Link.Wanted && !s.Link.Expires.IsZero() }

// EnrolmentUnusable is an enrolment whose files cannot be read.
var EnrolmentUnusable = declare(Problem{
	Code: "enrolment-unusable", Title: "Enrolment cannot be used", Severity: status.Warning,
	Text: "the board answers without its cloud: {err}",
	Do:   "enrol it again: `skerry cloud invite` on the cloud, then `skerry enroll CODE` here",
})

// BoardRevoked is a board that its cloud has barred.
var BoardRevoked = declare(Problem{
	Code: "board-revoked", Title: "Board was revoked", Severity: status.Warning,
	Text:  "{cloud} no longer accepts this board: its operator has revoked it",
	Do:    "if that was a mistake, ask the operator for a code (`skerry cloud invite`), then here: `skerry enroll CODE`",
	judge: func(s seen) ([]string, bool) { return refusal(s), s.Link.Refusal == "revoked" },
})

// CloudRefuses is a cloud that does not want this board.
var CloudRefuses = declare(Problem{
	Code: "cloud-refuses", Title: "Cloud refuses this board", Severity: status.Warning,
	Text:   "{cloud}: {err}",
	Do:     "ask its operator for a code (`skerry cloud invite`), then here: `skerry enroll CODE`",
	Causes: []*Problem{ClockWrong, CertificateExpired, BoardRevoked},
	After:  15 * time.Second,
	judge: func(s seen) ([]string, bool) {
		return refusal(s), refused(s, "unauthorized", "protocol error")
	},
})

// CloudBundle is a cloud that has another model.
var CloudBundle = declare(Problem{
	Code: "cloud-bundle", Title: "Cloud lacks this model", Severity: status.Warning,
	Text: "{cloud} does not serve the bundle that this board has: {err}",
	Do:   "serve it there (`skerry cloud --bundle DIR`), or here {other}",
	judge: func(s seen) ([]string, bool) {
		other := "make the one that it has (`skerry model split`, of the same file)"
		if s.Link.Pull != "" {
			other = "take the one that it has (`" + s.Link.Pull + "`)"
		}
		return append(refusal(s), "other", other), refused(s, "unknown bundle")
	},
})

// CloudLacksLoaded is a cloud without a model that is loaded beside the default one.
var CloudLacksLoaded = declare(Problem{
	Code: "cloud-lacks-loaded", Title: "Cloud lacks a loaded model", Severity: status.Notice,
	Text:   "{models}: {why}. This board answers alone for as long as it is asked",
	Do:     "serve it there as well: `skerry cloud --bundle DIR` takes several",
	Causes: []*Problem{CloudBundle},
	judge: func(s seen) ([]string, bool) {
		var names []string
		var why string
		for _, m := range s.Models {
			if m.CloudLacks != "" && !m.Default {
				names, why = append(names, m.Name), m.CloudLacks
			}
		}
		return []string{"models", strings.Join(names, ", "), "why", why}, len(names) > 0
	},
})

// CloudBusy is a cloud that has no room for this board at present.
var CloudBusy = declare(Problem{
	Code: "cloud-busy", Title: "Cloud is busy", Severity: status.Notice,
	Text:  "{cloud} has no room at present, and the board answers without it: {err}",
	Do:    "wait, or give the cloud more memory; `skerry cloud devices` there shows who uses it",
	After: time.Minute, Gone: time.Minute,
	judge: func(s seen) ([]string, bool) { return refusal(s), refused(s, "busy") },
})

// CloudProtocol is a cloud that sends what no cloud may.
var CloudProtocol = declare(Problem{
	Code: "cloud-protocol", Title: "Cloud breaks the protocol", Severity: status.Warning,
	Text: "{cloud}: {err} ({times} since the start). Such an answer is discarded, and the board goes on without the cloud",
	Do:   "run one version on both sides (`skerry version` here and there); if both are the same, see the cloud's log",
	judge: func(s seen) ([]string, bool) {
		return []string{"cloud", s.Link.Cloud, "err", s.Link.Breach, "times", status.Plural(s.Link.Breaches, "time")},
			lately(s, s.Link.BreachAt)
	},
})

// CloudSilent is a cloud that keeps the link alive and does not answer.
var CloudSilent = declare(Problem{
	Code: "cloud-silent", Title: "Cloud does not answer", Severity: status.Warning,
	Text: "{cloud} keeps the connection alive but left {requests} unanswered since the start; the board goes on without it",
	Do:   "see what the cloud is busy with: `skerry cloud load` there; `skerry link retry` here connects again",
	judge: func(s seen) ([]string, bool) {
		return []string{"cloud", s.Link.Cloud, "requests", status.Plural(s.Link.Unanswered, "request")}, lately(s, s.Link.UnansweredAt)
	},
})

// lately says whether something of the link was within the window that a tracker
// looks back on.
func lately(s seen, at time.Time) bool {
	return s.Link.Wanted && !at.IsZero() && s.Time.Sub(at) < window
}

// refused says whether the cloud has said no by one of these codes.
func refused(s seen, codes ...string) bool { return slices.Contains(codes, s.Link.Refusal) }

// refusal is which cloud says no and how. The last error of a link that is up is of
// something else.
func refusal(s seen) []string {
	err := s.Link.RefusalText
	if err == "" && !s.Link.Connected {
		err = s.Link.LastError
	}
	return []string{"cloud", s.Link.Cloud, "err", cmp.Or(err, s.Link.Refusal)}
}

// BudgetSpent is a month's bytes that are gone.
var BudgetSpent = declare(Problem{
	Code: "budget-spent", Title: "Monthly data is used up", Severity: status.Warning,
	Text: "{spent} of {budget} are used: the board answers without the cloud until the month ends",
	Do:   "raise `cloud.monthly_mb` in the configuration, and `sudo systemctl restart skerry`",
	judge: func(s seen) ([]string, bool) {
		return budget(s), s.Link.Budget > 0 && spent(s) >= s.Link.Budget
	},
})

// BudgetHalf is a month's bytes of which half are gone.
var BudgetHalf = declare(Problem{
	Code: "budget-half", Title: "Half of the monthly data is used", Severity: status.Notice,
	Text:   "{spent} of {budget} are used: from now on hidden states are sent in fewer bits, and exact ones not at all",
	Do:     "see what was sent with `skerry status`, or raise `cloud.monthly_mb` in the configuration",
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
	Text:   "{cloud} cannot be reached, and the board answers without it: {err}",
	Do:     "see which part fails: `skerry link test`",
	Causes: []*Problem{NoNetwork, ClockWrong, CertificateExpired, EnrolmentUnusable, BoardRevoked, CloudRefuses, CloudBundle, CloudProtocol, CloudSilent, BudgetSpent, MayNothing},
	After:  20 * time.Second, Gone: 5 * time.Second,
	judge: func(s seen) ([]string, bool) {
		why := cmp.Or(s.Link.LastError, s.Link.Reason, "it does not answer")
		return []string{"cloud", s.Link.Cloud, "err", why}, s.Link.Wanted && !s.Link.Connected
	},
})

// LinkUnsteady is one that is lost again and again.
var LinkUnsteady = declare(Problem{
	Code: "link-unsteady", Title: "Link comes and goes", Severity: status.Warning,
	Text:   "the link was lost {times} in the last 5 minutes: {err}",
	Do:     "see which part fails: `skerry link test`",
	Causes: []*Problem{LinkDown, NoNetwork},
	After:  20 * time.Second, Gone: time.Minute,
	judge: func(s seen) ([]string, bool) {
		limit := uint64(5)
		if s.raised {
			limit = 2
		}
		return []string{"times", status.Plural(s.reconnects, "time"), "err", cmp.Or(s.Link.LastError, s.Link.Reason)},
			s.Link.Wanted && s.reconnects >= limit
	},
})

// LinkPoor is one too slow to ask over.
var LinkPoor = declare(Problem{
	Code: "link-poor", Title: "Link is poor", Severity: status.Notice,
	Text:   "{reason}: the board answers more of each question by itself",
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
	Text:   "the link uses TCP, where a lost packet delays all that follow: {why}",
	Do:     "allow UDP port {port} through the network; `skerry link test` shows when it does",
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
	Text:  "this board was enrolled with --may nothing: it answers without its cloud",
	Do:    "to change it: `skerry enroll CODE --may hidden`",
	judge: func(s seen) ([]string, bool) { return nil, s.Link.Wanted && s.Link.May == "nothing" },
})
