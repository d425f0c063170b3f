package page_test

import (
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"skerry/appliance/status"
	"skerry/appliance/status/page/pagetest"
	"skerry/appliance/status/statustest"
)

// The page fits the width of a desk and of a phone, whatever its state.
func TestWidths(t *testing.T) {
	chromium := pagetest.Browser(t)
	longest := statustest.Busy()
	longest.Mode = "collaborative"
	for _, c := range []struct {
		name   string
		status status.Status
		speaks bool
		scheme string
	}{
		{"load", longest, true, "light"},
		{"link-down", statustest.LinkDown(), true, "light"},
		{"no-model", statustest.NoModel(), false, "light"},
		{"dark", statustest.Busy(), true, "dark"},
		{"loading", statustest.Loading(), false, "light"},
		{"alone", statustest.Alone(), true, "light"},
		{"starting", statustest.Starting(), false, "dark"},
		{"calm", statustest.Calm(), true, "light"},
	} {
		if testing.Short() && !kept[c.name] {
			continue
		}
		r := newRig(t, c.status)
		if c.speaks {
			r.speak(3)
			r.write()
		}
		for _, width := range []int64{1280, 390} {
			b := pagetest.Open(t, chromium, width, 900)
			pagetest.Command(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: c.scheme}}})
			b.Do(chromedp.Navigate(r.URL + "/"))
			b.Wait(isLive)
			if got := pagetest.Eval[int64](b, `document.documentElement.scrollWidth`); got > width {
				t.Errorf("%s at %d pixels is %d wide: %s", c.name, width, got, pagetest.Eval[string](b, `[...document.querySelectorAll("body *")].filter(e => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest(".scroll")).map(e => e.tagName + "." + (e.className.baseVal ?? e.className)).slice(0, 8).join(" ")`))
			}
			if cut := pagetest.Eval[string](b, `[...document.querySelectorAll(".now dd b")].filter(e => e.scrollWidth > e.clientWidth).map(e => e.textContent + " takes " + e.scrollWidth + " of " + e.clientWidth).join(", ")`); cut != "" {
				t.Errorf("%s at %d pixels: %s", c.name, width, cut)
			}
			b.Clean(r.URL)
		}
	}
}

// kept are the states that a short run looks at.
var kept = map[string]bool{"load": true, "link-down": true, "no-model": true, "dark": true}
