package page_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"skerry/appliance/infer"
	"skerry/appliance/infer/picture"
	"skerry/appliance/status/page"
	"skerry/appliance/status/page/pagetest"
	"skerry/appliance/status/statustest"
)

// pngOf is an image of that size, in a shade of green.
func pngOf(t *testing.T, width, height int, shade uint8) []byte {
	t.Helper()
	m := image.NewNRGBA(image.Rect(0, 0, width, height))
	for i := range width * height {
		m.SetNRGBA(i%width, i/width, color.NRGBA{30, shade, 90, 255})
	}
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// askForm asks as the form does, without script: with an image for each of files.
func askForm(t *testing.T, r *rig, prompt string, files ...[]byte) (code int, body string) {
	t.Helper()
	var b bytes.Buffer
	form := multipart.NewWriter(&b)
	err := form.WriteField("prompt", prompt)
	for i, data := range files {
		var w io.Writer
		if w, err = form.CreateFormFile("image", fmt.Sprintf("%d.png", i)); err == nil {
			_, err = w.Write(data)
		}
	}
	if err == nil {
		err = form.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.Post(r.URL+"/ask", form.FormDataContentType(), &b)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

// The form takes images without script, as far as they are some and not too many; the page shows
// them to whom the conversation is.
func TestImagesByForm(t *testing.T) {
	r := newRig(t, statustest.Calm())
	good := pngOf(t, 4, 3, 100)
	if code, body := askForm(t, r, "What?", good, nil); code != http.StatusOK || !strings.Contains(body, "You asked") {
		t.Errorf("%d %s", code, body)
	}
	asked, n := r.backend.last()
	if n != 1 || len(asked.Messages[0].Images) != 1 || !bytes.Equal(asked.Messages[0].Images[0].Data, good) || asked.Messages[0].Content != "What?" {
		t.Fatalf("asked %d times: %+v", n, asked.Messages)
	}
	for words, files := range map[string][][]byte{
		"&#34;0.png&#34;: the image is none that is known here": {[]byte("no image")},
		"at most 4 images go with a question":                   {good, good, good, good, good},
		"the question has over":                                 {make([]byte, 33<<20)},
	} {
		if code, body := askForm(t, r, "What?", files...); code != http.StatusBadRequest || !strings.Contains(body, words) || strings.Contains(body, "[limits]") {
			t.Errorf("%s: %d %.300s", words, code, body)
		}
	}
	if _, n := r.backend.last(); n != 1 {
		t.Errorf("asked %d times", n)
	}
	c, err := r.backend.Find(infer.By{}, asked.Session)
	if err != nil {
		t.Fatal(err)
	}
	address := "/image?session=" + asked.Session + "&sum=" + c.Messages[0].Images[0].Sum
	_, html := r.get(t, "/?session="+asked.Session, "text/html")
	if !strings.Contains(html, `<img src="`+strings.ReplaceAll(address, "&", "&amp;")) {
		t.Errorf("the page has no %s", address)
	}
	if res, body := r.get(t, address, ""); res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "image/png" || body != string(good) {
		t.Errorf("%s: %s %v", address, res.Status, res.Header)
	}
	if res, body := r.get(t, address+"0", ""); res.StatusCode != http.StatusNotFound || !strings.Contains(body, "not kept") {
		t.Errorf("another: %s %s", res.Status, body)
	}
	r.backend.kept[asked.Session].Owner = "ada"
	r.viewer = page.Viewer{Owner: "bob", Asks: true}
	if res, _ := r.get(t, address, ""); res.StatusCode != http.StatusForbidden {
		t.Errorf("another's: %s", res.Status)
	}
}

// file is a file of a browser's, in JavaScript.
func file(name, kind string, data []byte) string {
	return fmt.Sprintf(`new File([Uint8Array.from(atob(%q), c => c.charCodeAt(0))], %q, {type: %q})`, base64.StdEncoding.EncodeToString(data), name, kind)
}

// give has files come into the page: chosen, pasted or dropped.
func give(b *pagetest.Tab, how string, files ...string) {
	events := map[string]string{
		"chosen":  `(() => { const i = document.getElementById("picture"); i.files = d.files; i.dispatchEvent(new Event("change")); })()`,
		"pasted":  `document.getElementById("prompt").dispatchEvent(new ClipboardEvent("paste", {clipboardData: d, cancelable: true, bubbles: true}))`,
		"dropped": `document.getElementById("talk").dispatchEvent(new DragEvent("drop", {dataTransfer: d, cancelable: true, bubbles: true}))`,
	}
	b.Do(chromedp.Evaluate[chromedp.Void](`{ const d = new DataTransfer(); for (const f of [` + strings.Join(files, ",") + `]) d.items.add(f); ` + events[how] + `; }`))
}

const thumbs = `document.querySelectorAll("#pics canvas").length`

// Pictures are chosen, pasted and dropped, shown small, taken back, sent with the question, and
// are there after a reload and when it is edited.
func TestPictures(t *testing.T) {
	r := newRig(t, statustest.Calm())
	r.backend.models = []infer.Model{{Name: "seer", Loaded: true, Vision: true}}
	r.backend.says("Green.", "exit1")
	for _, width := range []int64{1280, 390} {
		b := openChat(t, r, width, "/")
		small, large := pngOf(t, 40, 30, 200), pngOf(t, 4000, 1000, 150)
		give(b, "chosen", file("a.png", "image/png", small))
		b.Wait(thumbs + " === 1")
		give(b, "pasted", file("b.png", "image/png", large))
		b.Wait(thumbs + " === 2")
		give(b, "dropped", file("c.png", "image/png", pngOf(t, 8, 8, 10)), file("d.txt", "text/plain", []byte("text")))
		b.Wait(thumbs + " === 3")
		b.Do(chromedp.Evaluate[chromedp.Void](`document.querySelectorAll("#pics button")[2].click()`))
		b.Wait(thumbs + " === 2")
		give(b, "dropped", file("d.txt", "text/plain", []byte("text")))
		b.Wait(says("answer-note", "That is no picture: take a PNG, JPEG, WebP or GIF."))
		give(b, "pasted", file("e.png", "image/png", []byte("no image")))
		b.Wait(says("answer-note", "e.png is no picture that can be read here: take a PNG, JPEG, WebP or GIF."))
		b.Do(chromedp.KeyEvent("What is it?" + kb.Enter))
		b.Wait(answers(1))
		asked, _ := r.backend.last()
		images := asked.Messages[0].Images
		if len(images) != 2 || asked.Messages[0].Content != "What is it?" || !bytes.Equal(images[0].Data, small) {
			t.Fatalf("asked %+v", asked.Messages[0].Content)
		}
		if size, err := picture.Check(images[1].Data); err != nil || size.Width != 2048 || size.Height != 512 {
			t.Errorf("a large picture is sent as %v, %v", size, err)
		}
		if n := pagetest.Eval[int](b, `document.querySelectorAll("#talk .user .pics canvas").length`); n != 2 || pagetest.Eval[int](b, thumbs) != 0 {
			t.Errorf("the question shows %d pictures", n)
		}
		if pagetest.Eval[bool](b, `document.documentElement.scrollWidth > innerWidth`) {
			t.Error("the page is wider than the screen")
		}
		if dir := os.Getenv("SKERRY_PICTURES"); dir != "" {
			b.Screenshot(fmt.Sprintf("%s/pictures-%d.png", dir, width))
		}
		b.Do(chromedp.Navigate(r.URL + "/?session=" + asked.Session))
		b.Wait(isLive)
		b.Wait(`[...document.querySelectorAll("#talk .user .pics img")].filter(i => i.complete && i.naturalWidth > 0).length === 2`)
		b.Do(chromedp.Evaluate[chromedp.Void](`document.querySelector("#talk .user .edit").click()`))
		b.Wait(thumbs + " === 2")
		b.Do(chromedp.KeyEvent(" Really?" + kb.Enter))
		b.Wait(answers(1))
		again, _ := r.backend.last()
		if *again.After != 0 || again.Messages[0].Content != "What is it? Really?" || len(again.Messages[0].Images) != 2 || !bytes.Equal(again.Messages[0].Images[0].Data, small) {
			t.Errorf("edited, it is %+v", again.Messages[0].Content)
		}
		b.Clean(r.URL)
	}
}

// Pictures that come quickly one after another are all taken, and go with the question that is
// asked before they are ready; none of them is left for the next.
func TestPicturesInHaste(t *testing.T) {
	r := newRig(t, statustest.Calm())
	r.backend.says("Green.", "exit1")
	b := openChat(t, r, 390, "/")
	first, second := file("a.png", "image/png", pngOf(t, 3000, 1000, 200)), file("b.png", "image/png", pngOf(t, 40, 30, 150))
	paste := `(f => { const d = new DataTransfer(); d.items.add(f); document.getElementById("prompt").dispatchEvent(new ClipboardEvent("paste", {clipboardData: d, cancelable: true, bubbles: true})); })`
	b.Do(chromedp.Evaluate[chromedp.Void](`document.getElementById("prompt").value = "What are they?"; ` + paste + `(` + first + `); ` + paste + `(` + second + `); document.getElementById("ask").requestSubmit()`))
	b.Wait(answers(1))
	asked, _ := r.backend.last()
	if images := asked.Messages[0].Images; len(images) != 2 {
		t.Errorf("it was asked with %d pictures", len(images))
	}
	if n := pagetest.Eval[int](b, thumbs); n != 0 {
		t.Errorf("%d pictures are left for the next question", n)
	}
	b.Clean(r.URL)
}

// Of a model without a projector pictures are refused in a sentence; a question that the daemon does
// not take is given back with its pictures.
func TestPicturesRefused(t *testing.T) {
	r := newRig(t, statustest.Calm())
	r.backend.models = []infer.Model{{Name: "mole", Loaded: true}}
	b := openChat(t, r, 390, "/")
	one := file("a.png", "image/png", pngOf(t, 40, 30, 200))
	for _, how := range []string{"chosen", "pasted", "dropped"} {
		b.Do(chromedp.Evaluate[chromedp.Void](`document.getElementById("answer-note").textContent = ""`))
		give(b, how, one)
		b.Wait(says("answer-note", "mole reads no pictures, since it has no projector: choose a model that has one, or ask in words."))
		if n := pagetest.Eval[int](b, thumbs); n != 0 {
			t.Errorf("%s: %d pictures are shown", how, n)
		}
	}
	r.backend.mu.Lock()
	r.backend.models = nil // the page does not know, and the daemon refuses
	r.backend.mu.Unlock()
	b.Do(chromedp.Navigate(r.URL))
	b.Wait(isLive)
	give(b, "chosen", one)
	b.Wait(thumbs + " === 1")
	r.backend.fail(infer.Errorf(infer.BadRequest, "image", "model mole has no vision"))
	b.Do(chromedp.KeyEvent("What?" + kb.Enter))
	b.Wait(says("answer-note", "No answer: model mole has no vision"))
	b.Wait(thumbs + ` === 1 && document.getElementById("prompt").value === "What?"`)
	// What is before the page, as where pictures are larger than a request may be, says it in JSON.
	b.Do(chromedp.Evaluate[chromedp.Void](`window.fetch = async () => new Response('{"error": "the request has 9 bytes, and the limit is 8"}\n', {status: 413}); document.getElementById("ask").requestSubmit()`))
	b.Wait(says("answer-note", "No answer: the request has 9 bytes, and the limit is 8"))
	b.Clean(r.URL, "400")
}
