package page

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"skerry/appliance/infer"
)

// Texts have the contrast that WCAG 2.2 calls AA, and what is drawn that of
// graphics, on light and dark: computed from the style sheet's own colours.
func TestContrast(t *testing.T) {
	css := string(assets["page.css"].body)
	html, err := files.ReadFile("assets/page.html")
	if err != nil {
		t.Fatal(err)
	}
	light, dark, ok := strings.Cut(css, "@media (prefers-color-scheme: dark)")
	if !ok {
		t.Fatal("the style sheet has no dark")
	}
	dark, _, _ = strings.Cut(dark, "* {")
	for scheme, part := range map[string]string{"light": light, "dark": dark} {
		colours := colours(t, part)
		check := func(least float64, on string, names ...string) {
			for _, name := range names {
				if c := contrast(colours[name], colours[on]); c < least {
					t.Errorf("%s: %s on %s is %.2f, not %.1f", scheme, name, on, c, least)
				}
			}
		}
		check(4.5, "panel", "ink", "muted", "good", "fair", "poor", "down", "link")
		for _, s := range infer.Sources {
			check(4.5, "panel", string(s.Key))
			if class := "." + string(s.Key) + " { --c: var(--" + string(s.Key) + "); }"; !strings.Contains(css, class) {
				t.Errorf("the style sheet lacks %s", class)
			}
			if p := sourcePattern(string(s.Key)); p != "" && !strings.Contains(string(html), `id="`+p+`"`) {
				t.Errorf("there is no pattern %s", p)
			}
		}
		check(4.5, "bg", "ink", "muted", "good", "down", "link")
		check(4.5, "code", "ink", "muted")
		check(3, "track", "link", "down")
	}
	if used := regexp.MustCompile(`#[0-9a-fA-F]{3,8}\b`).FindAllString(css[strings.Index(css, "* {"):], -1); len(used) > 0 {
		t.Errorf("colours that are not among the named: %v", used)
	}
}

func colours(t *testing.T, css string) map[string][3]float64 {
	found := map[string][3]float64{}
	for _, m := range regexp.MustCompile(`--(\w+): #([0-9a-f]{6});`).FindAllStringSubmatch(css, -1) {
		n, err := strconv.ParseUint(m[2], 16, 32)
		if err != nil {
			t.Fatal(err)
		}
		found[m[1]] = [3]float64{float64(n >> 16 & 255), float64(n >> 8 & 255), float64(n & 255)}
	}
	if len(found) < 17 {
		t.Fatalf("%d colours found", len(found))
	}
	return found
}

// contrast of two colours, 1 to 21 (WCAG 2.2, "contrast ratio").
func contrast(a, b [3]float64) float64 {
	la, lb := luminance(a), luminance(b)
	return (max(la, lb) + 0.05) / (min(la, lb) + 0.05)
}

func luminance(c [3]float64) (sum float64) {
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		x := c[i] / 255
		if x <= 0.04045 {
			x /= 12.92
		} else {
			x = math.Pow((x+0.055)/1.055, 2.4)
		}
		sum += weight * x
	}
	return sum
}

func TestContrastIsComputedRightly(t *testing.T) {
	if got := fmt.Sprintf("%.1f %.2f", contrast([3]float64{}, [3]float64{255, 255, 255}), contrast([3]float64{118, 118, 118}, [3]float64{255, 255, 255})); got != "21.0 4.54" {
		t.Error(got)
	}
}
