package page_test

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"skerry/appliance/status/page/pagetest"
	"skerry/appliance/status/statustest"
)

// rendered is the markup of a text as the page shows it.
func rendered(b *pagetest.Tab, text string) string {
	return pagetest.Eval[string](b, `(() => { const e = document.createElement("div"); markdown.shown(e)(`+quoted(text)+`); return e.innerHTML })()`)
}

func TestMarkdown(t *testing.T) {
	r := newRig(t, statustest.Calm())
	b := openChat(t, r, 390, "/")
	link := func(href, text string) string {
		return `<a href="` + href + `" rel="noopener noreferrer nofollow" target="_blank" title="` + href + `">` + text + `</a>`
	}
	code := func(language, body string) string {
		return `<div class="code"><div class="codehead"><span>` + language + `</span><button class="copy" type="button" aria-label="Copy the code">Copy</button></div><pre tabindex="0" aria-label="Code"><code>` + body + `</code></pre></div>`
	}
	for text, want := range map[string]string{
		"plain":                            "<p>plain</p>",
		"one\ntwo\n\nthree":                "<p>one\ntwo</p><p>three</p>",
		"a **b _c_** ~~d~~ *e* ***f***":    "<p>a <strong>b <em>c</em></strong> <del>d</del> <em>e</em> <strong><em>f</em></strong></p>",
		"2 * 3 * 4, snake_case_name, 5*":   "<p>2 * 3 * 4, snake_case_name, 5*</p>",
		`\*not\* \<b\>`:                    "<p>*not* &lt;b&gt;</p>",
		"`a*b*` and ``c ` d``":             "<p><code>a*b*</code> and <code>c ` d</code></p>",
		"# A\n###### B *c*":                "<h3>A</h3><h6>B <em>c</em></h6>",
		"```go\nif a < b {\n\n}\n```\nx":   code("go", "if a &lt; b {\n\n}") + "<p>x</p>",
		"```\nopen":                        code("code", "open"),
		"- a\n- b\n  1. c\n  2. d\n- e":    `<ul><li><p class="tight">a</p></li><li><p class="tight">b</p><ol><li><p class="tight">c</p></li><li><p class="tight">d</p></li></ol></li><li><p class="tight">e</p></li></ul>`,
		"3. x\n4. y":                       `<ol start="3"><li><p class="tight">x</p></li><li><p class="tight">y</p></li></ol>`,
		"> q\n> r\n\ns":                    "<blockquote><p>q\nr</p></blockquote><p>s</p>",
		"---":                              "<hr>",
		"|a|b|\n|-|-:|\n|1|2|":             `<div class="scroll" tabindex="0"><table><tbody><tr><th class="" scope="col">a</th><th class="n" scope="col">b</th></tr><tr><td class="">1</td><td class="n">2</td></tr></tbody></table></div>`,
		"[w](https://e.org/a_(b)) x":       "<p>" + link("https://e.org/a_(b)", "w") + " x</p>",
		"see https://e.org/x_y_z.":         "<p>see " + link("https://e.org/x_y_z", "https://e.org/x_y_z") + ".</p>",
		"![pic](https://e.org/p.png)":      "<p>" + link("https://e.org/p.png", "pic") + "</p>",
		"[x](javascript:alert(1))":         "<p>[x](javascript:alert(1))</p>",
		"<script>alert(1)</script><img o>": "<p>&lt;script&gt;alert(1)&lt;/script&gt;&lt;img o&gt;</p>",
	} {
		if got := strings.ReplaceAll(rendered(b, text), ` class=""`, ""); got != strings.ReplaceAll(want, ` class=""`, "") {
			t.Errorf("%q becomes\n%s, not\n%s", text, got, want)
		}
	}
	b.Clean(r.URL)
}

// A text that grows shows at each step what it would show at once, whatever is in it, and
// no piece of it is lost; a hostile one takes no time to speak of.
func TestMarkdownGrows(t *testing.T) {
	r := newRig(t, statustest.Calm())
	b := openChat(t, r, 390, "/")
	const script = `(() => {
  let seed = 7;
  const random = n => (seed = (seed * 1103515245 + 12345) & 0x7fffffff) % n;
  const parts = ["*", "**", "_", "~~", "` + "`" + `", "` + "```" + `", "\n", "\n\n", "- ", "1. ", "  ", "> ", "|", "|-|\n", "# ", "[a](", "https:" + "/" + "/e.org", ")", "word", " ", "é", "<b>", "\\", "---"];
  for (let round = 0; round < 300; round++) {
    const grown = document.createElement("div"), show = markdown.shown(grown);
    let text = "";
    for (let n = random(40); n >= 0; n--) { text += parts[random(parts.length)]; show(text); }
    const whole = document.createElement("div");
    markdown.shown(whole)(text);
    if (whole.innerHTML !== grown.innerHTML) return "grown otherwise: " + JSON.stringify(text);
    const words = s => (s.match(/word|é/g) || []).length;
    const shown = whole.textContent, missing = words(text) - words(shown);
    if (missing > 0 && !text.includes("` + "```" + `") && !text.includes("](")) return "lost a word: " + JSON.stringify(text) + " " + whole.innerHTML;
    if (whole.querySelector("b, script, img")) return "markup: " + JSON.stringify(text);
  }
  for (const evil of ["*a ", "**", "_a", "` + "`" + `", "[", "[a](", "> ", "- ", "  - ", "\n", "|", "~~a"]) markdown.shown(document.createElement("div"))(evil.repeat(5000));
  return "";
})()`
	if got := pagetest.Eval[string](b, script); got != "" {
		t.Error(got)
	}
	b.Clean(r.URL)
}

// Who said a word is seen also where the word is marked up, and nothing that a model says
// becomes markup.
func TestMarkdownShowsWhoSaidIt(t *testing.T) {
	r := newRig(t, statustest.Calm())
	r.backend.says("A **bold word** <img src=x onerror=alert(1)>\n\n```html\n<b>x</b>\n```", "exit1", "cloud")
	b := openChat(t, r, 1280, "/")
	focusPrompt(b)
	b.Do(chromedp.KeyEvent("Go\r"))
	b.Wait(answers(1))
	text := `document.querySelector("#talk .assistant .text")`
	if got, want := pagetest.Eval[string](b, text+`.querySelector("strong").innerHTML`), `<span class="t cloud" data-source="cloud" data-letter="C" title="cloud">bold </span><span class="t exit1" data-source="exit1" data-letter="1" title="exit 1">word</span>`; got != want {
		t.Errorf("%s, not %s", got, want)
	}
	b.Do(chromedp.Click(chromedp.CSS("#letters")))
	if got := pagetest.Eval[string](b, `getComputedStyle(document.querySelector("#talk strong .cloud"), "::before").content`); got != `"C"` {
		t.Errorf("the letter before what the cloud said is %s", got)
	}
	if pagetest.Eval[bool](b, `!!document.querySelector("#talk img, #talk b, #talk script")`) {
		t.Error("what the model said became markup")
	}
	if !pagetest.Eval[bool](b, text+`.querySelector("pre").textContent === "<b>x</b>"`) {
		t.Error("the code is not as it was said")
	}
	// Nor could a mistake in the script make it so.
	if !pagetest.Eval[bool](b, `(() => { try { document.createElement("p").innerHTML = "<b>x</b>"; return false } catch { return true } })()`) {
		t.Error("any text can be made markup")
	}
	b.Do(chromedp.Click(chromedp.CSS("#talk button.copy")))
	b.Wait(`document.querySelector("#talk button.copy").textContent !== "Copy"`)
	b.Clean(r.URL, "TrustedHTML", "require-trusted-types-for")
}
