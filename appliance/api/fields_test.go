package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"skerry/appliance/api/fields"
)

// bases are the smallest requests, by path.
var bases = map[string]string{
	"/v1/chat/completions": `{"model": "fake-135m", "messages": [{"role": "user", "content": "hello"}]}`,
	"/v1/completions":      `{"model": "fake-135m", "prompt": "hello"}`,
	"/infill":              `{"input_prefix": "a", "input_suffix": "b"}`,
	"/tokenize":            `{"content": "hello"}`,
	"/detokenize":          `{"tokens": [104]}`,
	"/apply-template":      `{"messages": [{"role": "user", "content": "hello"}]}`,
	"/v1/messages":         `{"max_tokens": 9, "messages": [{"role": "user", "content": "hello"}]}`,
	"/v1/responses":        `{"input": "hello"}`,
	"/v1/embeddings":       `{"model": "fake-135m", "input": "hello"}`,
	"/api/embed":           `{"model": "fake-135m", "input": "hello"}`,
	"/api/embeddings":      `{"model": "fake-135m", "prompt": "hello"}`,
	"/api/generate":        `{"model": "fake-135m", "prompt": "hello", "stream": false}`,
	"/api/chat":            `{"model": "fake-135m", "stream": false, "messages": [{"role": "user", "content": "hello"}]}`,
}

// tree of a JSON text.
func tree(t *testing.T, text string) any {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return v
}

// set puts a value at a path of names, where "[]" behind one stands for its first element.
func set(t *testing.T, in map[string]any, path string, value any) {
	t.Helper()
	name, rest, more := strings.Cut(path, ".")
	if !more {
		in[name] = value
		return
	}
	key, list := strings.CutSuffix(name, "[]")
	at := in[key]
	if list {
		l, _ := at.([]any)
		if len(l) == 0 {
			t.Fatalf("%s: there is no element in %v", path, in)
		}
		at = l[0]
	}
	if at == nil {
		at = map[string]any{}
		in[key] = at
	}
	set(t, at.(map[string]any), rest, value)
}

// bodies of requests with and without a field's example.
func bodies(t *testing.T, table *fields.Table, f fields.Field) (with, without string) {
	t.Helper()
	make := func() map[string]any {
		m := tree(t, bases[table.Path]).(map[string]any)
		if f.With != "" {
			for name, v := range tree(t, "{"+f.With+"}").(map[string]any) {
				m[name] = v
			}
		}
		return m
	}
	text := func(m map[string]any) string {
		b, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	changed := make()
	set(t, changed, f.Name, tree(t, f.Example))
	return text(changed), text(make())
}

var (
	session = regexp.MustCompile(`resp-[0-9a-f]{24}`) // drawn at random
	passing = regexp.MustCompile(`"created_at":"[^"]*",|,"ignored":\[.*?\}\]`)
)

// outcome is all that a request has led to, and its reply.
func outcome(t *testing.T, path, body string) (string, reply) {
	t.Helper()
	f := &fake{vision: true}
	r := newClient(t, f).post(path, body)
	asked, err := json.Marshal(f.asked)
	if err != nil {
		t.Fatal(err)
	}
	all := fmt.Sprint(string(asked), f.loads, r.header.Get("Content-Type"), passing.ReplaceAllString(r.body, ""))
	return session.ReplaceAllString(all, "resp-x"), r
}

// ignoredIn are the names of the fields that a reply says had no effect.
func ignoredIn(r reply) (names []string) {
	r.Helper()
	last := strings.TrimSpace(r.body)
	switch r.header.Get("Content-Type") {
	case "text/event-stream":
		parts := strings.Split(strings.TrimSuffix(last, "\n\ndata: [DONE]"), "data: ")
		last = parts[len(parts)-1]
	case "application/x-ndjson":
		last = last[strings.LastIndexByte(last, '\n')+1:]
	}
	list, _ := dig(r.T, []byte(last), "skerry", "ignored").([]any)
	if list == nil {
		list, _ = dig(r.T, []byte(last), "response", "skerry", "ignored").([]any)
	}
	for _, one := range list {
		names = append(names, one.(map[string]any)["field"].(string))
	}
	return names
}

// Every field of the table has the effect, gets the refusal, or is told as ignored, as the
// table says.
func TestEveryField(t *testing.T) {
	total := map[fields.Treatment]int{}
	for _, table := range fields.Tables {
		t.Run(table.Schema, func(t *testing.T) {
			seen := map[string]bool{}
			for _, f := range table.Fields {
				if seen[f.Name] {
					t.Errorf("%s is in the table twice", f.Name)
				}
				seen[f.Name] = true
				total[f.Treatment]++
				oneField(t, table, f)
			}
			n := table.Count()
			t.Logf("%s: %d done, %d refused, %d harmless", table.Path, n[fields.Done], n[fields.Refused], n[fields.Harmless])
		})
	}
	t.Logf("all: %d done, %d refused, %d harmless, 0 dropped in silence", total[fields.Done], total[fields.Refused], total[fields.Harmless])
}

func oneField(t *testing.T, table *fields.Table, f fields.Field) {
	t.Helper()
	with, without := bodies(t, table, f)
	got, r := outcome(t, table.Path, with)
	switch f.Treatment {
	case fields.Done:
		want, plain := outcome(t, table.Path, without)
		if r.status != 200 || plain.status != 200 && f.Name != "truncate" && f.Name != "truncation" {
			t.Errorf("%s: %d %.300s, without it %d %.300s", f.Name, r.status, r.body, plain.status, plain.body)
		} else if got == want {
			t.Errorf("%s is done, and has no effect: %.300s", f.Name, with)
		} else if slices.Contains(ignoredIn(r), f.Name) {
			t.Errorf("%s is done, and told as ignored", f.Name)
		}
	case fields.Refused:
		if r.status != 400 || !f.Checked && !strings.Contains(r.body, f.Name+" is not supported here: ") {
			t.Errorf("%s is refused, and is: %d %s", f.Name, r.status, r.body)
		}
		if f.Why == "" && !f.Checked {
			t.Errorf("%s is refused, and nothing says what to do", f.Name)
		}
	case fields.Harmless:
		want, plain := outcome(t, table.Path, without)
		if r.status != 200 || plain.status != 200 || got != want {
			t.Errorf("%s is harmless: %d %.300s, without it %d %.300s", f.Name, r.status, r.body, plain.status, plain.body)
		} else if names := ignoredIn(r); !slices.Contains(names, f.Name) || slices.Contains(ignoredIn(plain), f.Name) {
			t.Errorf("%s is harmless, and ignored are %v", f.Name, names)
		}
	}
	for _, off := range f.Off {
		f := f
		f.Example = off
		body, _ := bodies(t, table, f)
		if _, r := outcome(t, table.Path, body); r.status != 200 {
			t.Errorf("%s at %s: %d %s", f.Name, off, r.status, r.body)
		}
	}
}

// A field of no API is told with what it was probably meant to be, or refused where the
// client wants that.
func TestUnknownField(t *testing.T) {
	c := newClient(t, &fake{})
	for _, one := range []struct{ path, member, field, suggestion string }{
		{"/v1/chat/completions", `"temprature": 1`, "temprature", "temperature"},
		{"/v1/chat/completions", `"maxTokens": 5`, "maxTokens", "max_tokens"},
		{"/v1/chat/completions", `"top-p": 0.5`, "top-p", "top_p"},
		{"/v1/chat/completions", `"num_ctx": 512`, "num_ctx", ""},
		{"/v1/completions", `"promt": "x"`, "promt", "prompt"},
		{"/api/generate", `"options": {"num_predct": 5}`, "options.num_predct", "options.num_predict"},
		{"/api/generate", `"temperature": 0.5`, "temperature", "options.temperature"},
		{"/api/chat", `"options": {"num_threads": 5}`, "options.num_threads", "options.num_thread"},
		{"/api/chat", `"wholly_unknown": 5`, "wholly_unknown", ""},
	} {
		body := strings.TrimSuffix(bases[one.path], "}") + ", " + one.member + "}"
		r := c.post(one.path, body).ok()
		meant, _ := r.json("skerry", "ignored", 0, "did_you_mean").(string)
		if r.json("skerry", "ignored", 0, "field") != one.field || meant != one.suggestion {
			t.Errorf("%s: %s", body, r.body)
		}
		strict := c.post(one.path+"?strict=1", body)
		if strict.status != 400 || !strings.Contains(strict.body, one.field+" is no field of this request") || !strings.Contains(strict.body, one.suggestion) {
			t.Errorf("strict %s: %d %s", body, strict.status, strict.body)
		}
		c.post(one.path+"?strict=1", bases[one.path]).ok()
	}
	c.post("/v1/chat/completions", `{"messages": [{"role": "user", "content": "x"}], "TEMPERATURE": 0}`).ok()
}

// Fields without effect are told of a bounded number, and of a repeated one once.
func TestIgnoredAreBounded(t *testing.T) {
	var many bytes.Buffer
	many.WriteString(`{"model": "fake-135m", "messages": [`)
	for range 50 {
		many.WriteString(`{"role": "user", "content": "x", "strange": 1},`)
	}
	many.WriteString(`{"role": "user", "content": "x"}]`)
	for i := range 100 {
		fmt.Fprintf(&many, `, "%s%d": 1`, strings.Repeat("x", 200), i)
	}
	r := newClient(t, &fake{}).post("/v1/chat/completions", many.String()+"}").ok()
	if names := ignoredIn(r); len(names) != 2 || !slices.Contains(names, "messages[].strange") {
		t.Errorf("ignored are %q", names)
	}
	many.Truncate(0)
	many.WriteString(strings.TrimSuffix(bases["/v1/completions"], "}"))
	for i := range 100 {
		fmt.Fprintf(&many, `, "unknown%d": 1`, i)
	}
	r = newClient(t, &fake{}).post("/v1/completions", many.String()+"}").ok()
	if names := ignoredIn(r); len(names) != 32 {
		t.Errorf("%d are ignored", len(names))
	}
}

// The document has the fields that are done, by hand and with their types, and lists the
// others out of the table.
func TestDocumentHasTheTable(t *testing.T) {
	c := newClient(t, &fake{})
	for _, table := range fields.Tables {
		written := map[string]bool{}
		for name := range requestProperties(c.doc.Components.Schemas[table.Schema]) {
			written[name] = true
		}
		for _, f := range table.Fields {
			if strings.Contains(f.Name, ".") && !strings.HasPrefix(f.Name, "options.") {
				continue // documented with the field that holds it
			}
			name := strings.TrimPrefix(f.Name, "options.")
			if !written[f.Name] {
				t.Errorf("%s: %s is %s, and not in the document", table.Schema, f.Name, f.Treatment)
			}
			if f.Treatment == fields.Done && notDone(c.doc.Components.Schemas[table.Schema], name) {
				t.Errorf("%s: %s is done, and the document says that it is not", table.Schema, f.Name)
			}
			delete(written, f.Name)
		}
		for name := range written {
			t.Errorf("%s: the document has %s, and the table has not", table.Schema, name)
		}
	}
}

// requestProperties of a schema and of those that it is made of; options with their path.
func requestProperties(s *openapi3.SchemaRef) openapi3.Schemas {
	all := openapi3.Schemas{}
	for _, part := range s.Value.AllOf {
		maps.Copy(all, requestProperties(part))
	}
	maps.Copy(all, s.Value.Properties)
	if o := s.Value.Properties["options"]; o != nil {
		for name, p := range o.Value.Properties {
			all["options."+name] = p
		}
	}
	return all
}

func notDone(s *openapi3.SchemaRef, name string) bool {
	p := requestProperties(s)[name]
	return p != nil && p.Value.Extensions["x-skerry"] != nil
}
