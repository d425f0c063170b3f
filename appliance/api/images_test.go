package api

import (
	"bytes"
	"encoding/base64"
	"image"
	"image/png"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// Every API takes an image where it has one, in its place among the words; addresses are not
// fetched, and what is no image is refused by its field.
func TestImages(t *testing.T) {
	var file bytes.Buffer
	if err := png.Encode(&file, image.NewGray(image.Rect(0, 0, 4, 3))); err != nil {
		t.Fatal(err)
	}
	good := base64.StdEncoding.EncodeToString(file.Bytes())
	data := "data:image/png;base64," + good
	const model = `"model": "fake-135m", "max_tokens": 4, `
	for _, c := range []struct{ path, body string }{
		{"/v1/chat/completions", `{` + model + `"messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}, {"type": "image_url", "image_url": {"url": "IMAGE"}}]}]}`},
		{"/v1/responses", `{"model": "fake-135m", "store": false, "input": [{"role": "user", "content": [{"type": "input_text", "text": "hi"}, {"type": "input_image", "image_url": "IMAGE"}]}]}`},
		{"/v1/responses", `{"model": "fake-135m", "store": false, "truncation": "auto", "input": [{"role": "user", "content": [{"type": "input_text", "text": "hi"}, {"type": "input_image", "image_url": "IMAGE"}]}]}`},
		{"/v1/messages", `{` + model + `"messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}, {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "IMAGE"}}]}]}`},
		{"/api/chat", `{"model": "fake-135m", "stream": false, "messages": [{"role": "user", "content": "hi", "images": ["IMAGE"]}]}`},
		{"/api/chat", `{"model": "fake-135m", "stream": false, "truncate": true, "messages": [{"role": "user", "content": "hi", "images": ["IMAGE"]}]}`},
		{"/api/generate", `{"model": "fake-135m", "stream": false, "prompt": "hi", "images": ["IMAGE"]}`},
	} {
		for _, image := range []struct {
			text, says string
			blind      bool
		}{
			{text: data}, {text: good}, {text: good, blind: true, says: "no vision"},
			{text: "https://example.com/a.png", says: "fetches nothing"}, {text: "AAAA", says: "none that is known here"}, {text: "data:image/png,x", says: "not in base64"}, {text: "*", says: "not base64"},
		} {
			f := &fake{vision: !image.blind}
			w := httptest.NewRecorder()
			r := httptest.NewRequest(http.MethodPost, c.path, strings.NewReader(strings.Replace(c.body, "IMAGE", image.text, 1)))
			r.Header.Set("Content-Type", "application/json")
			New(f, quietOptions()).ServeHTTP(w, r)
			if image.says != "" {
				if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), image.says) || len(f.asked) != 0 {
					t.Errorf("%s %.30s: %d %s, want %q", c.path, image.text, w.Code, w.Body, image.says)
				}
				continue
			}
			if w.Code != http.StatusOK || len(f.asked) != 1 {
				t.Errorf("%s: %d %s", c.path, w.Code, w.Body)
				continue
			}
			m := f.asked[0].Messages
			last := m[len(m)-1]
			at := 2
			if strings.HasPrefix(c.path, "/api/") {
				at = 0
			}
			if last.Content != "hi" || len(last.Images) != 1 || last.Images[0].At != at || !bytes.Equal(last.Images[0].Data, file.Bytes()) {
				t.Errorf("%s: %+v", c.path, last)
			}
		}
	}
}
