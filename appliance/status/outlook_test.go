package status

import (
	"strings"
	"testing"
)

func TestOutlookSays(t *testing.T) {
	o := &Outlook{Mode: "verified", Second: "collaborative", Modes: []ModeOutlook{
		{Mode: "collaborative", FirstMS: 400.4, TokenMS: 51}, {Mode: "standalone", Not: "unfit"}, {Mode: "verified", FirstMS: 310, TokenMS: 40.6}}}
	const want = "predicted: verified with 310 ms to the first token and 41 ms for each further one; then collaborative with 400 and 51 ms"
	if got := o.Says(); got != want {
		t.Errorf("%q", got)
	}
	var out strings.Builder
	if err := Text(&out, Status{Mode: "auto", Outlook: o}, 200); err != nil || !strings.Contains(out.String(), want) {
		t.Errorf("%v: %s", err, out.String())
	}
	for behind, says := range map[int]string{0: "; the draft is ready to go on", 1: "; the draft is 1 token behind", 12: "; the draft is 12 tokens behind"} {
		if o.DraftBehind = &behind; o.Says() != want+says {
			t.Errorf("%d behind: %q", behind, o.Says())
		}
	}
	o.DraftBehind = nil
	o.Second = ""
	if got := o.Says(); strings.Contains(got, ";") {
		t.Errorf("without a second: %q", got)
	}
	if got := (*Outlook)(nil).Says() + (&Outlook{}).Says(); got != "" {
		t.Errorf("of nothing: %q", got)
	}
}
