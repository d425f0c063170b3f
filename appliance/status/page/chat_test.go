package page_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"skerry/appliance/infer"
	"skerry/appliance/status/page"
	"skerry/appliance/status/page/pagetest"
	"skerry/appliance/status/statustest"
)

const (
	ended     = `!document.querySelector("#talk [aria-busy]")`
	answering = `!!document.querySelector("#talk [aria-busy]")`
)

// answers is that so many answers are through.
func answers(n int) string {
	return fmt.Sprintf(`document.querySelectorAll("#talk .assistant").length === %d && %s`, n, ended)
}

// said is the text of the conversation's messages, by who speaks.
func said(b *pagetest.Tab) string {
	return pagetest.Eval[string](b, `[...document.querySelectorAll("#talk .msg")].map(m => m.classList[1][0] + ": " + m.querySelector(".text").textContent.replace(/\s+/g, " ").trim()).join("\n")`)
}

func openChat(t *testing.T, r *rig, width int64, path string) *pagetest.Tab {
	t.Helper()
	b := pagetest.Open(t, pagetest.Browser(t), width, 800)
	b.Do(chromedp.Navigate(r.URL + path))
	b.Wait(isLive)
	return b
}

func focusPrompt(b *pagetest.Tab) {
	b.Do(chromedp.Evaluate[chromedp.Void](`document.getElementById("prompt").focus()`))
}

func TestAskByKeyboard(t *testing.T) {
	r := newRig(t, statustest.Calm())
	r.backend.pause = make(chan struct{}, 100)
	b := openChat(t, r, 390, "/")
	for range 8 { // skip links, and whatever else is before the prompt
		b.Do(chromedp.KeyEvent(kb.Tab))
		if pagetest.Eval[string](b, `document.activeElement.id`) == "prompt" {
			break
		}
	}
	if got := pagetest.Eval[string](b, `document.activeElement.id`); got != "prompt" {
		t.Fatalf("the focus is on %q", got)
	}
	if pagetest.Eval[string](b, `getComputedStyle(document.activeElement).outlineStyle`) == "none" {
		t.Error("the focus is not to be seen")
	}
	b.Do(chromedp.KeyEvent("What?" + kb.Enter))
	r.backend.pause <- struct{}{}
	b.Wait(`document.querySelector("#talk .assistant .text").textContent === "A"`)
	if !pagetest.Eval[bool](b, `document.getElementById("prompt").value === "" && !document.getElementById("stop").hidden`) {
		t.Error("the box is not emptied, or there is no way to stop")
	}
	for range 60 {
		r.backend.pause <- struct{}{}
	}
	b.Wait(says("talk", "40 tokens in 3.0 s, verified: exit 1 23"))
	b.Wait(says("answer-note", "Answered."))
	b.Wait(ended)
	if got, want := said(b), "u: What?\na: "+strings.TrimSpace(sampleText()); got != want {
		t.Errorf("the conversation is %q, not %q", got, want)
	}
	if n := pagetest.Eval[int](b, `document.querySelectorAll("#talk .cloud").length`); n == 0 {
		t.Error("the answer does not show who said it")
	}
	if got := pagetest.Eval[string](b, `document.activeElement.id`); got != "prompt" {
		t.Errorf("the focus went to %q", got)
	}
	// Escape stops an answer, for good: in the daemon.
	for len(r.backend.pause) > 0 {
		<-r.backend.pause
	}
	b.Do(chromedp.KeyEvent("Why?" + kb.Enter))
	r.backend.pause <- struct{}{}
	b.Wait(answering + ` && [...document.querySelectorAll("#talk .assistant .text")].pop().textContent === "A"`)
	b.Do(chromedp.KeyEvent(kb.Escape))
	b.Wait(says("answer-note", "Stopped."))
	b.Wait(answers(2))
	asked, n := r.backend.last()
	if n != 2 || asked.Messages[0].Content != "Why?" || asked.After == nil || *asked.After != 2 {
		t.Errorf("asked %d times: %+v", n, asked)
	}
	c, err := r.backend.Find(infer.By{}, asked.Session)
	if err != nil || len(c.Messages) != 4 || c.Messages[3].Content != "A" {
		t.Errorf("the session holds %+v, %v", c.Messages, err)
	}
	b.Clean(r.URL)
}

// A question that is typed during an answer neither ends it nor is lost.
func TestEnterDuringAnAnswer(t *testing.T) {
	r := newRig(t, statustest.Calm())
	r.backend.says("One two.", "exit1")
	r.backend.pause = make(chan struct{}, 100)
	b := openChat(t, r, 1280, "/")
	focusPrompt(b)
	b.Do(chromedp.KeyEvent("First" + kb.Enter))
	b.Wait(answering)
	b.Do(chromedp.KeyEvent("Second" + kb.Enter))
	b.Do(chromedp.KeyEvent("Third" + kb.Enter))
	b.Wait(`document.querySelectorAll("#talk .queued").length === 2`)
	b.Do(chromedp.KeyEvent("half"))
	if got, want := said(b), "u: First\na: \nu: Second\nu: Third"; got != want {
		t.Errorf("%q, not %q", got, want)
	}
	for range 6 {
		r.backend.pause <- struct{}{}
	}
	b.Wait(answers(3))
	if got, want := said(b), "u: First\na: One two.\nu: Second\na: One two.\nu: Third\na: One two."; got != want {
		t.Errorf("%q, not %q", got, want)
	}
	if got := pagetest.Eval[string](b, `document.getElementById("prompt").value`); got != "half" {
		t.Errorf("the box holds %q", got)
	}
	// One that is not taken is put back.
	r.backend.fail(&infer.Error{Code: infer.Busy, Message: "the queue is full"})
	b.Do(chromedp.KeyEvent(" more" + kb.Enter))
	b.Wait(says("answer-note", "No answer: the queue is full"))
	b.Wait(`document.getElementById("prompt").value === "half more"`)
	if n := strings.Count(said(b), "u: "); n != 3 {
		t.Errorf("after a refusal: %q", said(b))
	}
	b.Clean(r.URL, "429")
}

// What was asked is known in the next question, after a reload, and in the list; and a
// question that is edited takes the place of what followed it.
func TestConversationGoesOn(t *testing.T) {
	r := newRig(t, statustest.Calm())
	r.backend.says("Fine.", "exit2")
	b := openChat(t, r, 1280, "/")
	focusPrompt(b)
	for i, q := range []string{"I am Ada", "What is my name?"} {
		b.Do(chromedp.KeyEvent(q + kb.Enter))
		b.Wait(answers(i + 1))
	}
	asked, _ := r.backend.last()
	c, err := r.backend.Find(infer.By{}, asked.Session)
	if err != nil || len(c.Messages) != 4 || c.Messages[0].Content != "I am Ada" {
		t.Fatalf("the session holds %+v, %v", c.Messages, err)
	}
	b.Wait(says("chats", "I am Ada"))
	b.Do(chromedp.Navigate(r.URL + "/?session=" + asked.Session))
	b.Wait(isLive + ` && document.querySelectorAll("#talk .msg").length === 4`)
	b.Do(chromedp.Evaluate[chromedp.Void](`document.querySelectorAll("#talk .edit")[1].click()`))
	if got := pagetest.Eval[string](b, `document.getElementById("prompt").value`); got != "What is my name?" {
		t.Errorf("edited is %q", got)
	}
	b.Do(chromedp.KeyEvent(kb.End + " Say it." + kb.Enter))
	b.Wait(`document.querySelectorAll("#talk .user .text")[1].textContent.includes("Say it.") && ` + answers(2))
	if got, want := said(b), "u: I am Ada\na: Fine.\nu: What is my name? Say it.\na: Fine."; got != want {
		t.Errorf("%q, not %q", got, want)
	}
	if asked, _ := r.backend.last(); *asked.After != 2 || len(asked.Messages) != 1 {
		t.Errorf("asked %+v", asked)
	}
	// Asked on elsewhere: nothing of it is dropped.
	c, _ = r.backend.Find(infer.By{}, asked.Session)
	c.Messages = append(c.Messages, infer.Message{Role: "user", Content: "x"}, infer.Message{Role: "assistant", Content: "y"})
	r.backend.keep(c)
	b.Do(chromedp.KeyEvent("And?" + kb.Enter))
	b.Wait(says("answer-note", "gone on elsewhere"))
	if got := pagetest.Eval[string](b, `document.getElementById("prompt").value`); got != "And?" {
		t.Errorf("the box holds %q", got)
	}
	b.Do(chromedp.Click(chromedp.CSS("#fresh")))
	b.Wait(`location.search === "" && document.querySelectorAll("#talk .msg").length === 0`)
	b.Clean(r.URL, "409")
}

// An answer that is under way when the page opens is shown as it grows.
func TestPageOpensInTheMiddleOfAnAnswer(t *testing.T) {
	r := newRig(t, statustest.Calm())
	r.backend.keep(page.Conversation{ID: "s", Running: true, Messages: []infer.Message{{Role: "user", Content: "Hi"}, {Role: "assistant", Content: "A li"}}})
	b := openChat(t, r, 1280, "/?session=s")
	b.Wait(answers(1))
	if got, want := said(b), "u: Hi\na: "+strings.TrimSpace(sampleText()); got != want {
		t.Errorf("%q, not %q", got, want)
	}
	b.Clean(r.URL)
}

// The panels follow the text unless their reader has scrolled up.
func TestConversationFollowsTheText(t *testing.T) {
	r := newRig(t, statustest.Calm())
	r.backend.says(strings.Repeat("One line.\n\n", 60), "exit1", "cloud")
	b := openChat(t, r, 390, "/")
	const low = `(e => e.scrollHeight - e.clientHeight - e.scrollTop < 4)(document.getElementById("talk"))`
	focusPrompt(b)
	for i := range 4 {
		b.Do(chromedp.KeyEvent("More" + kb.Enter))
		b.Wait(answers(i + 1))
		b.Wait(low)
	}
	r.backend.pause = make(chan struct{}, 1000)
	b.Do(chromedp.KeyEvent("More" + kb.Enter))
	b.Wait(answering)
	b.Wait(low)
	b.Do(chromedp.Evaluate[chromedp.Void](`document.getElementById("talk").scrollTop -= 300`))
	b.Wait("!" + low)
	top := pagetest.Eval[int](b, `document.getElementById("talk").scrollTop`)
	for range 1000 {
		r.backend.pause <- struct{}{}
	}
	b.Wait(answers(5))
	if got := pagetest.Eval[int](b, `document.getElementById("talk").scrollTop`); got != top {
		t.Errorf("it scrolled from %d to %d under its reader", top, got)
	}
	b.Clean(r.URL)
}

// Without script a conversation is a form after another.
func TestConversationWithoutScript(t *testing.T) {
	r := newRig(t, statustest.Calm())
	res, err := http.PostForm(r.URL+"/ask", url.Values{"prompt": {"I am Ada"}})
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	asked, _ := r.backend.last()
	if res, err = http.PostForm(r.URL+"/ask", url.Values{"prompt": {"Who?"}, "session": {asked.Session}}); err != nil || res.StatusCode != 200 {
		t.Fatal(res, err)
	}
	res.Body.Close()
	again, n := r.backend.last()
	if n != 2 || again.Session != asked.Session || *again.After != -1 {
		t.Errorf("asked %d times, last %+v", n, again)
	}
	_, html := r.get(t, "/?session="+asked.Session, "text/html")
	for _, want := range []string{`<div class="text">I am Ada</div>`, `<div class="text">Who?</div>`, `name="session" value="` + asked.Session, "#ask-panel\" aria-current"} {
		if !strings.Contains(html, want) {
			t.Errorf("no %s in the page", want)
		}
	}
	res, err = http.PostForm(r.URL+"/ask", url.Values{"prompt": {"Who?"}, "session": {"gone"}})
	if err != nil || res.StatusCode != 404 {
		t.Errorf("a session that there is not: %v, %v", res.Status, err)
	}
	res.Body.Close()
	_, html = r.get(t, "/?session=gone", "text/html")
	if !strings.Contains(html, "no session") {
		t.Error("the page does not say that there is no such session")
	}
}
