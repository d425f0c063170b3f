package page

import (
	"slices"
	"testing"
)

func FuzzAccepted(f *testing.F) {
	for _, header := range []string{"", "*/*", "text/html;q=0.5, application/json", "text/*;q=9,;;q", `a/b;q="0.5"`, "text/html;q=NaN"} {
		f.Add(header)
	}
	offers := []string{"text/html", "application/json", "text/plain"}
	f.Fuzz(func(t *testing.T, header string) {
		if form := accepted(header, offers); !slices.Contains(offers, form) {
			t.Errorf("%q: %q", header, form)
		}
		for _, offer := range offers {
			if q := quality(header, offer); !(q >= 0 && q <= 1) {
				t.Errorf("%q: quality %v of %s", header, q, offer)
			}
		}
	})
}
