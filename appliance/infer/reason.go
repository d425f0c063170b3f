package infer

// Reason says why the cloud did not say a token.
type Reason string

// The reasons.
const (
	Asked         Reason = "" // the cloud did say it
	WhyConfident  Reason = "confident"
	WhyStandalone Reason = "standalone"
	WhyUnsplit    Reason = "unsplit"
	WhyDeadline   Reason = "deadline"
	WhyTooSlow    Reason = "too slow"
	WhyDown       Reason = "link down"
	WhyLost       Reason = "link lost"
	WhyPoor       Reason = "link poor"
	WhyBusy       Reason = "cloud busy"
	WhyOwed       Reason = "answers owed"
)

// ReasonInfo is how a reason is told.
type ReasonInfo struct {
	Key     Reason
	Meaning string // a half-sentence
}

// Reasons are all but Asked. Whatever lists or counts by reason ranges over this.
var Reasons = []ReasonInfo{
	{WhyConfident, "an exit was confident enough"},
	{WhyStandalone, "this mode never asks the cloud"},
	{WhyUnsplit, "this mode has no cloud"},
	{WhyDeadline, "the cloud was asked and did not answer in time"},
	{WhyTooSlow, "not asked: the answer would have come too late, or later than the board's own"},
	{WhyDown, "not asked: the link was down"},
	{WhyLost, "the cloud was asked, and the link was lost"},
	{WhyPoor, "not asked: the link was poor"},
	{WhyBusy, "the cloud was busy and refused, or asked to wait"},
	{WhyOwed, "not asked: too many answers were still outstanding"},
}

// Meaning explains the reason, "" where it is not known.
func (r Reason) Meaning() string {
	for _, info := range Reasons {
		if info.Key == r {
			return info.Meaning
		}
	}
	return ""
}
