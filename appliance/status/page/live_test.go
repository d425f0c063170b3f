package page_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"skerry/appliance/status"
	"skerry/appliance/status/page/pagetest"
	"skerry/appliance/status/statustest"
)

const isLive = `document.getElementById("live").textContent === "Live"`

func quoted(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func says(id, text string) string {
	return fmt.Sprintf(`document.getElementById(%s).textContent.includes(%s)`, quoted(id), quoted(text))
}

func TestPageIsLive(t *testing.T) {
	r := newRig(t, statustest.Calm())
	r.speak(1)
	b := pagetest.Open(t, pagetest.Browser(t), 1280, 900)
	b.Do(chromedp.Navigate(r.URL + "/"))
	b.Wait(isLive)
	stream := `document.getElementById("stream").textContent.replace(/\s+/g, " ").trim()`
	if got, want := pagetest.Eval[string](b, stream), "workshop "+sampleText(); got != want {
		t.Errorf("the stream begins with %q, not %q", got, want)
	}
	// What is open and focused stays so when its part is replaced.
	b.Do(chromedp.Evaluate[chromedp.Void](`document.getElementById("hour-table").open = true; document.getElementById("hour-rows").focus()`))
	down := statustest.LinkDown()
	r.set(down)
	b.Wait(says("health", "The cloud cannot be reached"))
	b.Wait(says("link", "network is unreachable"))
	b.Wait(says("hour", "14:33:12"))
	if !pagetest.Eval[bool](b, `document.getElementById("hour-table").open && document.activeElement.id === "hour-rows"`) {
		t.Error("the table was closed, or lost the focus")
	}
	r.write()
	b.Wait(says("log", "database set aside"))
	// A conversation goes on in its paragraph, and its next answer has another.
	n := len(statustest.Tokens())
	r.hub.Token(status.Said{Session: "workshop", Source: "exit1", Text: " So there.", Index: n})
	r.hub.Token(status.Said{Session: "workshop", Source: "exit1", Text: "Next"})
	b.Wait(says("stream", "Next"))
	if got, want := pagetest.Eval[string](b, stream), "workshop "+sampleText()+" So there.workshop Next"; got != want {
		t.Errorf("the stream goes on with %q, not %q", got, want)
	}
	r.hub.Token(status.Said{Session: "kitchen-radio", Source: "cloud", Text: "<b>Ahoy</b>\n"})
	r.hub.Token(status.Said{Session: "kitchen-radio", Source: "fallback", Text: " yonder", Index: 1})
	b.Wait(says("stream", "yonder"))
	if got := pagetest.Eval[string](b, `document.getElementById("stream").lastElementChild.innerHTML`); got != `<b class="who">kitchen-radio</b> <span class="t cloud" data-source="cloud" data-letter="C" title="cloud">&lt;b&gt;Ahoy&lt;/b&gt;`+"\n"+`</span><span class="t fallback" data-source="fallback" data-letter="F" title="fallback"> yonder</span>` {
		t.Errorf("it is heard as %s", got)
	}
	b.Clean(r.URL)
}

// A stream that is lost comes back by itself, without a word missed or doubled.
func TestPageComesBack(t *testing.T) {
	r := newRig(t, statustest.Calm())
	b := pagetest.Open(t, pagetest.Browser(t), 1280, 900)
	b.Do(chromedp.Navigate(r.URL + "/"))
	b.Wait(isLive)
	say := func(from, to int) {
		for i := from; i < to; i++ {
			r.hub.Token(status.Said{Session: "s", Source: "exit1", Text: fmt.Sprintf(" %d", i), Index: i})
		}
	}
	say(0, 5)
	b.Wait(says("stream", " 4"))
	r.CloseClientConnections()
	say(5, 10)
	b.Wait(says("stream", " 9"))
	if got := pagetest.Eval[string](b, `document.querySelector("#stream .t").textContent`); got != " 0 1 2 3 4 5 6 7 8 9" {
		t.Errorf("heard %q", got)
	}
}

func TestPageWithoutScript(t *testing.T) {
	r := newRig(t, statustest.Busy())
	r.speak(1)
	r.write()
	b := pagetest.Open(t, pagetest.Browser(t), 390, 800)
	pagetest.Command(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	b.Do(chromedp.Navigate(r.URL + "/"))
	text := pagetest.Eval[string](b, `document.body.innerText`)
	for _, want := range []string{"As of 14:37:12 UTC", "The board is throttled", "SmolLM2-135M-Instruct", "14.3", "Raspberry Pi 5", "armv8.2 dotprod fp16", "cloud.example.net:7537", "kitchen-radio", "database set aside", "link poor", "lighthouse", "/var/lib/skerry"} {
		if !strings.Contains(text, want) {
			t.Errorf("it does not show %q", want)
		}
	}
	b.Do(chromedp.SendKeys(chromedp.CSS("#prompt"), "What?"), chromedp.Click(chromedp.CSS("#ask button")))
	b.Wait(`location.pathname === "/ask" && document.readyState === "complete"`)
	text = pagetest.Eval[string](b, `document.body.innerText`)
	for _, want := range []string{"What?", sampleText(), "40 tokens in 3.0 s, verified", "Back to the page"} {
		if !strings.Contains(text, want) {
			t.Errorf("the answer does not show %q", want)
		}
	}
	if wide := pagetest.Eval[int](b, `document.documentElement.scrollWidth`); wide > 390 {
		t.Errorf("the answer is %d pixels wide", wide)
	}
	b.Clean(r.URL)
}

// What a screen reader is told: landmarks, names of all that can be used, and texts
// for all that is drawn.
func TestPageHasNamesForAll(t *testing.T) {
	r := newRig(t, statustest.LinkDown())
	r.speak(1)
	r.write()
	b := pagetest.Open(t, pagetest.Browser(t), 1280, 900)
	b.Do(chromedp.Navigate(r.URL + "/"))
	b.Wait(isLive)
	word := func(v *accessibility.Value) (s string) {
		if v != nil {
			json.Unmarshal(v.Value, &s)
		}
		return s
	}
	named := map[string]bool{}
	for _, n := range pagetest.Command(b, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{}).Nodes {
		if n.Ignored {
			continue
		}
		role, name := word(n.Role), word(n.Name)
		named[strings.ToLower(role+" "+name)] = true
		switch role {
		case "button", "link", "textbox", "image", "img", "graphics-document", "region", "progressbar", "DisclosureTriangle":
			if name == "" {
				t.Errorf("a %s has no name", role)
			}
		}
	}
	for _, want := range []string{
		"RootWebArea skerry-lab: ready", "banner ", "main ", "contentinfo ", "heading skerry-lab Skerry 0.9.1", "link To the instruments",
		"region Health", "region Now", "region Conversation", "region Conversations", "log Conversation", "link To the question", "region Live answers", "region Where the last 1000 tokens came from", "region Model", "region Board", "region Link", "region Sessions", "region Storage", "region Log",
		"textbox Your question", "button Ask", "log Live answers", "status ",
		"image Said by exit 1 50 %, exit 2 17 %, cloud 12 %, fallback 21 %",
		"image This board computes the first 20, the cloud those from 10 on.",
		"image Round trip 32 ms to 232 ms, loss, at most 7.5 %, good for 36 min, fair for 9 min, poor for 4 min, down for 11 min",
		"DisclosureTriangle The hour as a table", "rowheader 1 exit 1",
	} {
		if !named[strings.ToLower(want)] {
			t.Errorf("there is no %q", want)
		}
	}
	if t.Failed() {
		for what := range named {
			if !strings.HasPrefix(what, "statictext") && !strings.HasPrefix(what, "inlinetextbox") && !strings.HasPrefix(what, "cell") {
				t.Log(what)
			}
		}
	}
}
