package page_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"skerry/appliance/infer"
	"skerry/appliance/status/page"
	"skerry/appliance/status/page/pagetest"
	"skerry/appliance/status/statustest"
)

// shelf are three models: one that is in use, and one under two names.
func shelf() []infer.Model {
	return []infer.Model{
		{Name: "smollm2:135m", Digest: "a", Bytes: 105 << 20, Quantization: "Q8_0", Loaded: true, LoadedBytes: 152 << 20, Pinned: true},
		{Name: "qwen2.5:1.5b", Digest: "b", Bytes: 1 << 30, Quantization: "Q4_0"},
		{Name: "big", Digest: "b", Bytes: 1 << 30, Quantization: "Q4_0"},
	}
}

// sure asks for something and says so once more, by the details that hold both.
func sure(b *pagetest.Tab, details string) {
	b.Do(chromedp.Click(chromedp.CSS(details + " summary")))
	b.Do(chromedp.Click(chromedp.CSS(details + " button")))
}

// A model is removed after a question, and why not is said in a line. The lists follow.
func TestModelIsRemoved(t *testing.T) {
	r := newRig(t, statustest.Calm())
	r.backend.models = shelf()
	b := openChat(t, r, 390, "/")
	const listed = `[...document.querySelectorAll("#library li b")].map(e => e.textContent).join()`
	const offered = `[...document.querySelectorAll("#choice option")].map(e => e.textContent).join()`
	b.Wait(listed + ` === "smollm2:135m,qwen2.5:1.5b,big"`)
	for _, want := range []string{"Q8_0, 110 MB, loaded with 159 MB of memory, pinned", "Q4_0, 1.1 GB, not loaded"} {
		b.Wait(says("library", want))
	}
	b.Do(chromedp.Click(chromedp.CSS(`[id="remove-big"] summary`)))
	b.Wait(says("library", "Remove the name big? The model stays, as qwen2.5:1.5b."))
	if got := pagetest.Eval[int](b, `document.documentElement.scrollWidth`); got > 390 {
		t.Errorf("it is %d pixels wide", got)
	}
	b.Do(chromedp.Click(chromedp.CSS(`[id="remove-big"] button`)))
	b.Wait(listed + ` === "smollm2:135m,qwen2.5:1.5b" && ` + offered + ` === "smollm2:135m (loaded),qwen2.5:1.5b"`)
	b.Wait(says("remove-note", "big is removed."))
	b.Do(chromedp.Click(chromedp.CSS(`[id="remove-qwen2.5:1.5b"] summary`)))
	b.Wait(says("library", "Remove qwen2.5:1.5b from this board, 1.1 GB?"))
	sure(b, `[id="remove-smollm2:135m"]`)
	b.Wait(says("remove-note", "Not removed: smollm2:135m is in use"))
	if got := pagetest.Eval[string](b, listed); got != "smollm2:135m,qwen2.5:1.5b" {
		t.Errorf("listed are %s", got)
	}
	b.Clean(r.URL, "409")
}

// A conversation is deleted after a question, from where one can begin the next.
func TestConversationIsDeleted(t *testing.T) {
	r := newRig(t, statustest.Calm())
	b := openChat(t, r, 390, "/")
	if !pagetest.Eval[bool](b, `document.getElementById("forget").hidden`) {
		t.Error("what there is not can be deleted")
	}
	focusPrompt(b)
	b.Do(chromedp.KeyEvent("Hi\r"))
	b.Wait(answers(1))
	asked, _ := r.backend.last()
	c, err := r.backend.Find(infer.By{}, asked.Session)
	if err != nil {
		t.Fatal(err)
	}
	c.Running = true
	r.backend.keep(c)
	sure(b, "#forget")
	b.Wait(says("answer-note", "Not deleted: session "+asked.Session+" is being answered"))
	c.Running = false
	r.backend.keep(c)
	b.Do(chromedp.Click(chromedp.CSS("#forget button")))
	b.Wait(`location.search === "" && document.readyState === "complete" && document.querySelectorAll("#talk .msg").length === 0`)
	if _, err := r.backend.Find(infer.By{}, asked.Session); err == nil {
		t.Error("it is there still")
	}
	b.Clean(r.URL, "409")
}

// Who may remove and delete what, and how it goes without script.
func TestRemovalByForm(t *testing.T) {
	r := newRig(t, statustest.Calm())
	r.backend.models = shelf()
	r.backend.keep(page.Conversation{ID: "ada", Owner: "ada", Messages: []infer.Message{{Role: "user", Content: "Hi"}}})
	r.backend.keep(page.Conversation{ID: "eve", Owner: "eve", Messages: []infer.Message{{Role: "user", Content: "Ho"}}})
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	post := func(path string, form url.Values) (int, string) {
		t.Helper()
		res, err := client.PostForm(r.URL+path, form)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(body)
	}
	for _, c := range []struct {
		viewer     page.Viewer
		path, name string
		code       int
		says       string
	}{
		{page.Viewer{Owner: "ada", Asks: true, Reads: true}, "/remove", "big", 403, "scope admin"},
		{page.Viewer{Owner: "ada", Asks: true}, "/forget", "eve", 403, "another key"},
		{page.Viewer{Owner: "ada", Asks: true}, "/forget", "", 400, "Session is required"},
		{page.Viewer{Owner: "ada", Asks: true}, "/forget", "none", 404, "No session"},
		{page.Viewer{Owner: "ada", Asks: true}, "/forget", "ada", 303, ""},
		{page.Viewer{Owner: "admin", Asks: true, Manages: true}, "/forget", "eve", 303, ""},
		{page.Viewer{Owner: "admin", Manages: true}, "/remove", "<none>", 404, "&lt;none&gt;"},
		{page.Viewer{Owner: "admin", Manages: true}, "/remove", "", 400, "Model is required"},
		{page.Viewer{Owner: "admin", Manages: true}, "/remove", "big", 303, ""},
	} {
		r.viewer = c.viewer
		key := map[string]string{"/remove": "model", "/forget": "session"}[c.path]
		if code, body := post(c.path, url.Values{key: {c.name}}); code != c.code || !strings.Contains(body, c.says) {
			t.Errorf("%s %q: %d %.2000s", c.path, c.name, code, body)
		}
	}
	if n := len(r.backend.Models()); n != 2 || len(r.backend.kept) != 0 {
		t.Errorf("%d models and %d conversations are left", n, len(r.backend.kept))
	}
	for _, manages := range []bool{false, true} {
		r.viewer = page.Viewer{Asks: true, Manages: manages}
		for _, path := range []string{"/", "/library"} {
			_, html := r.get(t, path, "text/html")
			if !strings.Contains(html, "qwen2.5:1.5b") || strings.Contains(html, `action="/remove"`) != manages {
				t.Errorf("%s, for one who manages (%v): %.3000s", path, manages, html)
			}
		}
	}
	r.viewer = page.Viewer{Reads: true}
	if _, html := r.get(t, "/library", "text/html"); strings.Contains(html, "qwen") {
		t.Errorf("shown to one who neither asks nor manages: %s", html)
	}
}
