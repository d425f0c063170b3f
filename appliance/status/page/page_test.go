package page_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"skerry/appliance/infer"
	"skerry/appliance/status"
	"skerry/appliance/status/statustest"
)

func TestFormsByAccept(t *testing.T) {
	r := newRig(t, statustest.Busy())
	r.write()
	const firefox = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
	for _, c := range []struct{ path, accept, want string }{
		{"/", "", "text/html"},
		{"/", "*/*", "text/html"},
		{"/", firefox, "text/html"},
		{"/", "application/json", "application/json"},
		{"/", "text/plain", "text/plain"},
		{"/", "text/plain, text/html;q=0.5", "text/plain"},
		{"/", "text/html;q=0, */*;q=0.1", "application/json"},
		{"/", "image/png", "text/html"},
		{"/api/v1/status", "", "application/json"},
		{"/api/v1/status", "*/*", "application/json"},
		{"/api/v1/status", firefox, "text/html"},
		{"/api/v1/status", "text/*", "text/html"},
		{"/api/v1/status", "text/plain", "text/plain"},
		{"/api/v1/logs", "", "application/json"},
		{"/api/v1/logs", "text/plain", "text/plain"},
	} {
		res, body := r.get(t, c.path, c.accept)
		kind, _, _ := strings.Cut(res.Header.Get("Content-Type"), ";")
		if res.StatusCode != 200 || kind != c.want || body == "" || res.Header.Get("Vary") != "Accept" || res.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s as %q: %s %s, %v", c.path, c.accept, res.Status, kind, res.Header)
		}
	}
	_, body := r.get(t, "/api/v1/status", "")
	var got status.Status
	if err := json.Unmarshal([]byte(body), &got); err != nil || !reflect.DeepEqual(got, statustest.Busy()) {
		t.Errorf("JSON gives back another status: %v", err)
	}
	_, body = r.get(t, "/?width=60", "text/plain")
	var want bytes.Buffer
	status.Text(&want, statustest.Busy(), 60)
	if body != want.String() {
		t.Errorf("as text: %s", body)
	}
	if res, _ := r.get(t, "/nothing", ""); res.StatusCode != 404 {
		t.Errorf("an unknown path: %s", res.Status)
	}
}

func TestLogsAreServed(t *testing.T) {
	r := newRig(t, statustest.Busy())
	if _, body := r.get(t, "/api/v1/logs", ""); body != "[]\n" {
		t.Errorf("no logs: %q", body)
	}
	r.write()
	var got []status.Record
	_, body := r.get(t, "/api/v1/logs?n=2", "")
	if err := json.Unmarshal([]byte(body), &got); err != nil || len(got) != 2 || got[1].Level != "ERROR" {
		t.Errorf("%v %s", err, body)
	}
	if _, body := r.get(t, "/api/v1/logs", "text/plain"); strings.Count(body, "\n") != 6 || !strings.Contains(body, "WARN  link down reason=\"no answer to 3 probes\"") {
		t.Errorf("%s", body)
	}
}

// addresses finds what a page makes a browser load, or go to.
var addresses = regexp.MustCompile(`(?i)\b(?:src|href|action|formaction|poster|srcset|data|ping|background)\s*=\s*"([^"]*)"|url\(([^)]*)\)|@import\s+(\S+)`)

// Nothing on the page, nor in what it loads, names another origin, and nothing in
// it would need a laxer policy.
func TestNothingLeavesTheOrigin(t *testing.T) {
	for name, s := range statustest.All() {
		r := newRig(t, s)
		r.speak(1)
		r.write()
		res, html := r.get(t, "/", "text/html")
		policy := res.Header.Get("Content-Security-Policy")
		if !strings.HasPrefix(policy, "default-src 'none'; script-src 'self'; style-src 'self'; ") || !strings.Contains(policy, "require-trusted-types-for 'script'") || strings.Contains(policy, "unsafe") || strings.Contains(policy, "http") {
			t.Errorf("the policy is %q", policy)
		}
		found := 0
		for _, m := range addresses.FindAllStringSubmatch(html, -1) {
			found++
			address := strings.Trim(m[1]+m[2]+m[3], `'" `)
			if !strings.HasPrefix(address, "#") && (!strings.HasPrefix(address, "/") || strings.HasPrefix(address, "//")) {
				t.Errorf("%s names %s", name, address)
			}
		}
		if found < 8 {
			t.Errorf("%s: only %d addresses found", name, found)
		}
		for _, inline := range []string{`<style`, ` style=`, `<script>`, `javascript:`, `<base`, `<meta http-equiv`} {
			if strings.Contains(html, inline) {
				t.Errorf("%s has %s in it", name, inline)
			}
		}
		if handler := regexp.MustCompile(`<[^>]*\son\w+=`).FindString(html); handler != "" {
			t.Errorf("%s has %s in it", name, handler)
		}
	}
	for _, file := range []string{"page.css", "live.js", "markdown.js", "chat.js", "models.js", "icon.svg"} {
		body, err := os.ReadFile("assets/" + file)
		if err != nil {
			t.Fatal(err)
		}
		text := strings.ReplaceAll(string(body), `xmlns="http://www.w3.org/2000/svg"`, "")
		if strings.Contains(text, "//") && regexp.MustCompile(`(?:https?|wss?):|["'(]//`).MatchString(text) || addresses.MatchString(text) {
			t.Errorf("%s names an address", file)
		}
	}
}

// A part is found by its id, and so is the choice of a model.
func TestIDsAreUnique(t *testing.T) {
	for name, s := range statustest.All() {
		r := newRig(t, s)
		r.backend.models = []infer.Model{{Name: "one", Loaded: true}, {Name: "two"}}
		r.speak(1)
		_, html := r.get(t, "/", "text/html")
		seen := map[string]bool{}
		for _, m := range regexp.MustCompile(`\sid="([^"]*)"`).FindAllStringSubmatch(html, -1) {
			if seen[m[1]] {
				t.Errorf("%s has the id %s twice", name, m[1])
			}
			seen[m[1]] = true
		}
		if !seen["choice"] || !seen["model"] {
			t.Errorf("%s has no choice of a model among its ids %v", name, seen)
		}
	}
}

// The page says what mode auto predicts of the mode that it chose, and of the one after it.
func TestPageSaysWhatIsPredicted(t *testing.T) {
	s := statustest.LinkDown()
	s.Mode, s.Why = "verified", "a cloud is configured"
	s.Outlook = &status.Outlook{Mode: "verified", Second: "unsplit", Modes: []status.ModeOutlook{
		{Mode: "verified", FirstMS: 90, TokenMS: 12}, {Mode: "unsplit", FirstMS: 400, TokenMS: 31},
	}}
	_, html := newRig(t, s).get(t, "/", "text/html")
	const want = "a cloud is configured; predicted: verified with 90 ms to the first token and 12 ms for each further one; then unsplit with 400 and 31 ms"
	if !strings.Contains(strings.ReplaceAll(html, "\u00a0", " "), want) { // some of its spaces do not break
		t.Errorf("the page does not say %q", want)
	}
}

// Whatever a model, a client or a log says stays text.
func TestNothingBecomesMarkup(t *testing.T) {
	const evil = `"><script>alert(1)</script><img src=x onerror=alert(2)>'`
	s := statustest.LinkDown()
	s.Name, s.Version, s.Mode, s.Why, s.Board.Model, s.Kernels.Name = evil, evil, evil, evil, evil, evil
	s.Model.Name, s.Model.Quantization, s.Model.Bundle, s.Model.Stages[1].Where = evil, evil, evil, evil
	s.Link.Cloud, s.Link.State, s.Link.Reason, s.Link.LastError, s.Link.Encoding = evil, evil, evil, evil, evil
	s.Link.Hour[3].State, s.Link.Hour[3].Reason, s.Changes[0].To, s.Changes[0].Reason = evil, evil, evil, evil
	s.Health[0].Do, s.Health[0].Text, s.Health[0].Title, s.Health[0].Severity = evil, evil, evil, evil
	s.Sessions[0].ID, s.Sessions[0].Client, s.Sessions[0].State = evil, evil, evil
	s.Tokens.Recent[evil], s.Tokens.Reasons[evil] = 99, 99
	s.Storage.Path, s.Storage.Err, s.Storage.SetAside = evil, evil, evil
	s.Board.Sensors[0].Name = evil
	r := newRig(t, s)
	r.hub.Token(status.Said{Session: evil, Source: evil, Text: evil})
	_, html := r.get(t, "/", "text/html")
	if n := strings.Count(html, "<script"); n != 4 || strings.Contains(html, "<img") {
		t.Errorf("%d scripts, an image: %v", n, strings.Contains(html, "<img"))
	}
	res, err := http.PostForm(r.URL+"/ask", url.Values{"prompt": {evil}})
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var b bytes.Buffer
	b.ReadFrom(res.Body)
	if html := b.String(); strings.Contains(html, "<script") || strings.Contains(html, "<img") {
		t.Error("a question becomes markup")
	}
}

// A status that is not as it should be is still shown.
func TestOddStatusesAreShown(t *testing.T) {
	for name, spoil := range map[string]func(*status.Status){
		"no blocks":       func(s *status.Status) { s.Model.Blocks = 0 },
		"stages beyond":   func(s *status.Status) { s.Model.Stages[2].To, s.Model.Stages[0].From = 1000, -5 },
		"no stages":       func(s *status.Status) { s.Model.Stages, s.Model.Exits = nil, nil },
		"many exits":      func(s *status.Status) { s.Model.Exits = append(s.Model.Exits, s.Model.Exits...) },
		"unknown words":   func(s *status.Status) { s.Link.State, s.State, s.Model.Stages[1].Where = "", "?", "moon" },
		"one minute":      func(s *status.Status) { s.Link.Hour = s.Link.Hour[:1] },
		"minutes of zero": func(s *status.Status) { s.Link.Hour = make([]status.Minute, 60) },
		"an old hour":     func(s *status.Status) { s.Link.Hour[59].Start = s.Time.AddDate(1, 0, 0) },
		"more than all":   func(s *status.Status) { s.Board.MemoryFree = 1 << 60; s.Storage.FreeBytes = 1 << 60 },
		"zero":            func(s *status.Status) { *s = status.Status{} },
	} {
		s := statustest.Busy()
		spoil(&s)
		r := newRig(t, s)
		res, html := r.get(t, "/", "text/html")
		if res.StatusCode != 200 || !strings.HasSuffix(strings.TrimSpace(html), "</html>") || strings.Contains(html, "NaN") || strings.Contains(html, "Inf") {
			t.Errorf("%s: %s, %d bytes", name, res.Status, len(html))
		}
		if err := status.Text(&bytes.Buffer{}, s, 80); err != nil {
			t.Errorf("%s as text: %v", name, err)
		}
	}
}

// All that a browser loads for the page, in bytes.
func TestPageIsSmall(t *testing.T) {
	r := newRig(t, statustest.Busy())
	r.speak(20)
	for range 20 {
		r.write()
	}
	_, html := r.get(t, "/", "text/html")
	all := len(html)
	for _, m := range regexp.MustCompile(`"(/assets/[^"]+)"`).FindAllStringSubmatch(html, -1) {
		_, body := r.get(t, strings.ReplaceAll(m[1], "&amp;", "&"), "")
		all += len(body)
	}
	t.Logf("%d bytes, %d of them HTML", all, len(html))
	if all > 150_000 {
		t.Errorf("the page takes %d bytes", all)
	}
}

func TestAssetsAreKept(t *testing.T) {
	r := newRig(t, statustest.Busy())
	_, html := r.get(t, "/", "text/html")
	address := regexp.MustCompile(`/assets/page.css\?v=[0-9a-f]+`).FindString(html)
	res, body := r.get(t, address, "")
	if res.StatusCode != 200 || !strings.Contains(res.Header.Get("Cache-Control"), "immutable") || !strings.HasPrefix(res.Header.Get("Content-Type"), "text/css") || body == "" {
		t.Fatalf("%s: %s %v", address, res.Status, res.Header)
	}
	tag := res.Header.Get("ETag")
	req, _ := http.NewRequest("GET", r.URL+"/assets/page.css", nil)
	req.Header.Set("If-None-Match", tag)
	again, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	again.Body.Close()
	if again.StatusCode != http.StatusNotModified || again.Header.Get("Cache-Control") != "no-cache" {
		t.Errorf("asked after: %s %v", again.Status, again.Header)
	}
	for _, missing := range []string{"/assets/page.html", "/assets/", "/assets/../page.go", "/assets/x.css"} {
		if res, _ := r.get(t, missing, ""); res.StatusCode != 404 {
			t.Errorf("%s: %s", missing, res.Status)
		}
	}
}

// Every empty state says what to type.
func TestEmptyStatesSayWhatToType(t *testing.T) {
	_, html := newRig(t, statustest.NoModel()).get(t, "/", "text/html")
	for _, want := range []string{`<code class="cmd">skerry model fetch</code>`, `<code class="cmd">skerry enroll CODE</code>`, "curl http://127.0.0.1", "X-Skerry-Session"} {
		if !strings.Contains(html, want) {
			t.Errorf("no %s", want)
		}
	}
	_, html = newRig(t, statustest.Loading()).get(t, "/", "text/html")
	if !strings.Contains(html, `<progress max="100" value="43"`) {
		t.Error("no progress")
	}
}

func TestAskWithoutScript(t *testing.T) {
	r := newRig(t, statustest.Busy())
	ask := func(prompt string, header ...string) (*http.Response, string) {
		req, err := http.NewRequest("POST", r.URL+"/ask", strings.NewReader(url.Values{"prompt": {prompt}}.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Accept", "text/html")
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		var b bytes.Buffer
		b.ReadFrom(res.Body)
		return res, b.String()
	}
	res, html := ask(" What? ")
	text := regexp.MustCompile(`<[^>]*>`).ReplaceAllString(html, "")
	if res.StatusCode != 200 || !strings.Contains(text, sampleText()) || !strings.Contains(html, `<span class="t cloud"`) || !strings.Contains(text, "40 tokens in 3.0 s, verified: exit 1 23, exit 2 7, cloud 8, fallback 2.") || !strings.HasSuffix(strings.TrimSpace(html), "</html>") {
		t.Errorf("%s: %s", res.Status, html)
	}
	asked, n := r.backend.last()
	if n != 1 || len(asked.Messages) != 1 || asked.Messages[0].Role != "user" || asked.Messages[0].Content != "What?" || !strings.HasPrefix(asked.Session, "page-") {
		t.Errorf("asked %d times: %+v", n, asked)
	}
	// Refusals, in the client's form.
	r.backend.fail(&infer.Error{Code: infer.Loading, Message: "the model is being loaded: 43 %, 12 s left", RetryAfter: 11500 * time.Millisecond})
	for _, c := range []struct {
		prompt, accept string
		code           int
		says           string
	}{
		{"Hi", "text/html", 503, "<p class=\"warn\">the model is being loaded: 43 %"},
		{"Hi", "text/event-stream", 503, "the model is being loaded: 43 %"},
		{" ", "text/html", 400, "the question is empty"},
	} {
		res, body := ask(c.prompt, "Accept", c.accept)
		if res.StatusCode != c.code || !strings.Contains(body, c.says) || c.code == 503 && res.Header.Get("Retry-After") != "12" {
			t.Errorf("%q as %s: %s %v %s", c.prompt, c.accept, res.Status, res.Header, body)
		}
	}
	// Another site's form, and a huge one.
	_, before := r.backend.last()
	if res, _ := ask("Hi", "Origin", "http://elsewhere.example"); res.StatusCode != 403 {
		t.Errorf("from elsewhere: %s", res.Status)
	}
	if res, _ := ask("Hi", "Sec-Fetch-Site", "cross-site"); res.StatusCode != 403 {
		t.Errorf("cross-site: %s", res.Status)
	}
	if res, _ := ask(strings.Repeat("x", 2<<20)); res.StatusCode != 400 {
		t.Errorf("2 MB: %s", res.Status)
	}
	if _, after := r.backend.last(); after != before {
		t.Errorf("the backend was asked")
	}
}
