package doctor

import (
	"strings"
	"testing"
	"time"
)

// A finding is wrapped beside the name of its check, with what to do behind an arrow; the
// test of a link has a line for each, and its own words.
func TestFindingText(t *testing.T) {
	f := Finding{"clock", Fail, "it is an hour behind that of the cloud", "set it, with timedatectl"}
	want := "fail  clock        it is an hour behind\n                   that of the cloud\n                   -> set it, with\n                      timedatectl\n"
	if got := f.Text(40); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	if got, want := f.Text(0), "fail  clock        it is an hour behind that of the cloud\n                   -> set it, with timedatectl\n"; got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	if got, want := f.LinkText(), "FAIL clock    it is an hour behind that of the cloud\n              -> set it, with timedatectl\n"; got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	r := NewLinkTest(LinkOptions{Cloud: "c:1"}).Report(Findings{f, {Check: "udp", Result: Pass}})
	if r.OK || r.Cloud != "c:1" || r.Checks[0].Result != "FAIL" || r.Checks[1].Result != "PASS" {
		t.Errorf("%+v", r)
	}
}

func TestClockAdvice(t *testing.T) {
	for behind, want := range map[time.Duration]string{0: "", time.Minute: "", time.Hour: "is 1h0m0s behind", -time.Hour: "is 1h0m0s ahead"} {
		if got := ClockAdvice(behind); (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%s: %q", behind, got)
		}
	}
}
