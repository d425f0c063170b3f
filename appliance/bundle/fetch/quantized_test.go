package fetch

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

const repository = `{"id":"o/r","tags":["license:apache-2.0"],"cardData":{},"siblings":[{"rfilename":"README.md"},{"rfilename":"mmproj-F16.gguf"},
	{"rfilename":"big/m-Q8_0-00001-of-00002.gguf"},{"rfilename":"big/m-Q8_0-00002-of-00002.gguf"},{"rfilename":"m.Q4_K_M.gguf"},{"rfilename":"m-q5_k_m.gguf"},
	{"rfilename":"sub/m-IQ3_XS.gguf"},{"rfilename":"m-UD-Q4_K_XL.gguf"},{"rfilename":"m.gguf"},{"rfilename":"../x-Q2_K.gguf"}]}`

func TestChoosesByQuantization(t *testing.T) {
	l, err := parseListing([]byte(repository))
	if err != nil || l.licence != "apache-2.0" {
		t.Fatalf("%+v, %v", l, err)
	}
	for quant, want := range map[string]string{
		"": "m.Q4_K_M.gguf", "latest": "m.Q4_K_M.gguf", "q4_k_m": "m.Q4_K_M.gguf", "Q5_K_M": "m-q5_k_m.gguf", "iq3_xs": "sub/m-IQ3_XS.gguf", "UD-Q4_K_XL": "m-UD-Q4_K_XL.gguf",
		"m": "m.gguf", "M.Q4_K_M.gguf": "m.Q4_K_M.gguf",
	} {
		if got, err := l.choose(quant); got != want || err != nil {
			t.Errorf("%q is %q, %v", quant, got, err)
		}
	}
	for quant, words := range map[string]string{"Q8_0": "choose one of IQ3_XS, Q4_K_M, Q5_K_M, UD-Q4_K_XL, m", "Q4": "choose one of", "x": "choose one of"} {
		if got, err := l.choose(quant); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%q is %q, %v", quant, got, err)
		}
	}
	for text, words := range map[string]string{
		`{}`: "it has no GGUF file",
		`{"siblings":[{"rfilename":"m-Q8_0-00001-of-00002.gguf"}]}`:                  "in several files each",
		`{"siblings":[{"rfilename":"a-Q2_K.gguf"},{"rfilename":"b-Q3_K.gguf"}]}`:     "name one of its quantizations: Q2_K, Q3_K",
		`{"siblings":[{"rfilename":"a-Q4_0.gguf"},{"rfilename":"sub/b-Q4_0.gguf"}]}`: "",
	} {
		l, err := parseListing([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := l.choose(""); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %q, %v", text, got, err)
		}
	}
}

// The projector that is taken with a model lies beside it, and is of the type that most are
// published in.
func TestChoosesProjector(t *testing.T) {
	for want, names := range map[string][]string{
		"mmproj-m-f16.gguf":  {"mmproj-m-BF16.gguf", "mmproj-m-f16.gguf", "mmproj-m-Q8_0.gguf"},
		"mmproj-m-Q8_0.gguf": {"mmproj-m-F32.gguf", "mmproj-m-Q8_0.gguf", "other/mmproj-F16.gguf"},
		"MMPROJ-model.gguf":  {"MMPROJ-model.gguf"},
		"":                   {"README.md", "m-mmproj.txt"},
	} {
		text := `{"siblings":[{"rfilename":"m-Q4_0.gguf"}`
		for _, n := range names {
			text += `,{"rfilename":"` + n + `"}`
		}
		l, err := parseListing([]byte(text + "]}"))
		if err != nil {
			t.Fatal(err)
		}
		if got := l.projector("m-Q4_0.gguf"); got != want || len(l.files) != 1 {
			t.Errorf("%q of %q, want %q", got, l.files, want)
		}
	}
}

// What a hub answers is looked at, also where it is no listing.
func TestByQuantization(t *testing.T) {
	answer := repository
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/models/o/r" {
			http.NotFound(w, r)
			return
		}
		w.Write([]byte(answer))
	}))
	defer s.Close()
	defer s.Client().CloseIdleConnections()
	opt := Options{Hub: s.URL, Client: s.Client(), Pause: time.Millisecond, Cache: t.TempDir()}
	for _, ref := range []string{"hf.co/o/r:q4_k_m", "o/r:Q4_K_M", "HuggingFace.co/o/r", "hf:o/r:q4_k_m", "hf:o/r"} {
		if q, err := ByQuantization(t.Context(), ref, opt); err != nil || q.Ref != "hf:o/r/m.Q4_K_M.gguf" || q.Quant != "Q4_K_M" || q.Licence != "apache-2.0" || q.Projector != "hf:o/r/mmproj-F16.gguf" {
			t.Errorf("%s: %+v, %v", ref, q, err)
		}
	}
	for ref, words := range map[string]string{"hf.co/o/other": "no repository o/other", "hf.co/o": "not of the form", "hf.co/../r": "not of the form", "hf.co/o/r:a/b": "not of the form"} {
		if q, err := ByQuantization(t.Context(), ref, opt); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %+v, %v", ref, q, err)
		}
	}
	answer = "<html>"
	if q, err := ByQuantization(t.Context(), "hf.co/o/r", opt); err == nil || !strings.Contains(err.Error(), "cannot be read") {
		t.Errorf("no listing: %+v, %v", q, err)
	}
}

func TestKnown(t *testing.T) {
	for name, want := range map[string]string{
		"smollm2-135m-instruct": DefaultName, "SmolLM2": DefaultName, "smollm2:latest": DefaultName, "smollm2:135m": DefaultName,
		"qwen2.5-coder:1.5b": "qwen2.5-coder-1.5b", "qwen2.5-coder": "", "": "", "smol": "", "gpt-9": "",
	} {
		if got, ok := Known(name); got != want || ok != (want != "") {
			t.Errorf("%q is %q, %v", name, got, ok)
		}
	}
	if d := DraftFor(Sum("qwen2.5-coder-1.5b")); d != "qwen2.5-coder-0.5b" || DraftFor(Sum(d)) != "" {
		t.Errorf("the draft is %q", d)
	}
	if _, draft := Size("qwen2.5-coder-1.5b"); draft != "qwen2.5-coder-0.5b" || Licence(DefaultName) == "" {
		t.Errorf("the draft is %q", draft)
	}
}

func FuzzListing(f *testing.F) {
	f.Add([]byte(repository), "q4_0")
	f.Fuzz(func(t *testing.T, text []byte, quant string) {
		l, err := parseListing(text)
		if err != nil {
			return
		}
		if file, err := l.choose(quant); err == nil && hubRef.FindStringSubmatch("o/r/"+file) == nil {
			t.Errorf("%q is no reference", file)
		}
	})
}
