package api

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"skerry/appliance/infer"
)

// The fake's vectors are of its bytes.
func (f *fake) Embed(_ context.Context, r infer.EmbedRequest) (infer.Embeddings, error) {
	r.Client = ""
	f.note(infer.Request{Prompt: fmt.Sprint(r.Model, r.Dimensions, r.Truncate, len(r.Texts))})
	out := infer.Embeddings{Model: fakeModel.Name, Pooling: "mean"}
	for i, t := range r.Texts {
		n := len(t.Text) + len(t.Tokens)
		if n == 0 {
			return out, infer.Errorf(infer.BadRequest, "input", "input[%d] is empty: send some text", i)
		}
		if n > 20000 && !r.Truncate {
			return out, infer.TooLongErrorf(n, 20000, "input", "input[%d] is %d tokens, context 20000", i, n)
		}
		if n > 20000 {
			n, out.Truncated = 20000, append(out.Truncated, i)
		}
		v := []float32{float32(n), 1, 0.1, float32(math.Pi)}
		if r.Dimensions > 0 {
			v = v[:r.Dimensions]
		}
		out.Vectors, out.Tokens = append(out.Vectors, v), out.Tokens+n
	}
	return out, nil
}

func TestEmbeddings(t *testing.T) {
	c := newClient(t, &fake{})
	r := c.post("/v1/embeddings", `{"model": "fake-135m:latest", "input": ["abc", "de"], "user": "x"}`).ok()
	if r.json("data", 0, "embedding", 0) != 3.0 || r.json("data", 1, "embedding", 0) != 2.0 || r.json("data", 1, "index") != 1.0 || r.json("usage", "prompt_tokens") != 5.0 ||
		r.json("skerry", "pooling") != "mean" || r.json("skerry", "ignored", 0, "field") != "user" || r.json("model") != "fake-135m" {
		t.Error(r.body)
	}
	for _, input := range []string{`"abc"`, `["abc"]`, `[1, 2, 3]`, `[[1, 2, 3.0]]`} {
		if r := c.post("/embeddings", `{"input": `+input+`}`).ok(); r.json("data", 0, "embedding", 0) != 3.0 {
			t.Errorf("%s: %s", input, r.body)
		}
	}
	packed, _ := c.post("/v1/embeddings", `{"input": "abc", "encoding_format": "base64"}`).ok().json("data", 0, "embedding").(string)
	raw, err := base64.StdEncoding.DecodeString(packed)
	if err != nil || len(raw) != 16 {
		t.Fatalf("%q: %v", packed, err)
	}
	var floats []float32
	for i := 0; i < len(raw); i += 4 {
		floats = append(floats, math.Float32frombits(binary.LittleEndian.Uint32(raw[i:])))
	}
	if want := []float32{3, 1, 0.1, float32(math.Pi)}; !slices.Equal(floats, want) {
		t.Errorf("in base64 %v, want %v", floats, want)
	}
	r = c.post("/v1/embeddings", `{"input": ["a", "`+strings.Repeat("x", 30000)+`"], "truncate": true, "dimensions": 2}`).ok()
	if r.json("skerry", "truncated", 0) != 1.0 || len(r.json("data", 1, "embedding").([]any)) != 2 {
		t.Errorf("%.500s", r.body)
	}
}

func TestOllamasEmbeddings(t *testing.T) {
	f := &fake{}
	c := newClient(t, f)
	r := c.post("/api/embed", `{"model": "fake-135m", "input": ["abc", "de"], "keep_alive": "1h", "options": {"num_ctx": 5}}`).ok()
	if r.json("embeddings", 1, 0) != 2.0 || r.json("prompt_eval_count") != 5.0 || r.json("skerry", "pooling") != "mean" || r.json("model") != "fake-135m" || len(f.loads) != 1 {
		t.Errorf("%s, loads %v", r.body, f.loads)
	}
	c.post("/api/embed", `{"model": "fake-135m", "input": "`+strings.Repeat("x", 30000)+`"}`).ok()
	if r := c.post("/api/embed", `{"model": "fake-135m", "truncate": false, "input": "`+strings.Repeat("x", 30000)+`"}`); r.status != 400 {
		t.Errorf("what is too long: %d %s", r.status, r.body)
	}
	if r := c.post("/api/embeddings", `{"model": "fake-135m", "prompt": "abcd"}`).ok(); r.json("embedding", 0) != 4.0 {
		t.Error(r.body)
	}
	// An empty text loads the model.
	for path, member := range map[string]string{"/api/embed": "embeddings", "/api/embeddings": "embedding"} {
		loads := len(f.loads)
		if r := c.post(path, `{"model": "fake-135m"}`).ok(); len(r.json(member).([]any)) != 0 || len(f.loads) != loads+1 {
			t.Errorf("%s: %s, loads %v", path, r.body, f.loads)
		}
	}
}

func TestBadEmbeddings(t *testing.T) {
	c := newClient(t, &fake{})
	for _, want := range []struct {
		path, body string
		status     int
		says       string
	}{
		{"/v1/embeddings", `{}`, 400, "0 texts"},
		{"/v1/embeddings", `{"input": []}`, 400, "0 texts"},
		{"/v1/embeddings", `{"input": null}`, 400, "0 texts"},
		{"/v1/embeddings", `{"input": ""}`, 400, "is empty"},
		{"/v1/embeddings", `{"input": [[]]}`, 400, "is empty"},
		{"/v1/embeddings", `{"input": 5}`, 400, "must be a string"},
		{"/v1/embeddings", `{"input": ["a", 5]}`, 400, "must be a string"},
		{"/v1/embeddings", `{"input": [1, [2]]}`, 400, "must be a string"},
		{"/v1/embeddings", `{"input": {"a": 1}}`, 400, "must be a string"},
		{"/v1/embeddings", `{"input": [1.5]}`, 400, "must be a string"},
		{"/v1/embeddings", `{"input": [-1]}`, 400, "token -1"},
		{"/v1/embeddings", `{"input": [4294967296]}`, 400, "token 4294967296"},
		{"/v1/embeddings", `{"input": [` + strings.Repeat(`"x",`, 2048) + `"x"]}`, 400, "2049 texts"},
		{"/v1/embeddings", `{"input": "x", "dimensions": 0}`, 400, "dimensions"},
		{"/v1/embeddings", `{"input": "x", "dimensions": "two"}`, 400, "dimensions must be"},
		{"/v1/embeddings", `{"input": "x", "encoding_format": "int8"}`, 400, "float or base64"},
		{"/v1/embeddings", `{"input": "x", "encoding_format": ""}`, 400, "float or base64"},
		{"/v1/embeddings", `{"input": "` + strings.Repeat("x", 30000) + `"}`, 400, "context_length_exceeded"},
		{"/v1/embeddings", `{"input": "x", "model": "nope"}`, 404, "not found"},
		{"/v1/embeddings?strict=1", `{"input": "x", "dimension": 4}`, 400, "did you mean dimensions"},
		{"/api/embed", `{"input": "x"}`, 400, "model is required"},
		{"/api/embed", `{"model": "nope"}`, 404, "not found"},
		{"/api/embeddings", `{"model": "nope", "prompt": "x"}`, 404, "not found"},
		{"/api/embeddings", `{"model": "fake-135m", "prompt": 5}`, 400, "prompt must be a string"},
		{"/api/embed", `{"model": "fake-135m", "input": "x", "keep_alive": "soon"}`, 400, "keep_alive"},
	} {
		r := c.do("POST", want.path, want.body)
		if r.status != want.status || !strings.Contains(r.body, want.says) {
			t.Errorf("%s %.80s: %d %s", want.path, want.body, r.status, r.body)
		}
	}
}
