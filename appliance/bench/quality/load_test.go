package quality

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const quacFile = `{"version": "0.2", "data": [
 {"title": "x", "paragraphs": [
  {"context": "Ada flew. CANNOTANSWER", "id": "1", "qas": [
   {"question": "Who flew?", "answers": [{"text": "Ada", "answer_start": 0}, {"text": "Ada"}, {"text": "Ada flew"}], "orig_answer": {"text": "Ada"}},
   {"question": "Why?", "answers": [{"text": "CANNOTANSWER"}]}]}]},
 {"paragraphs": [{"context": "B.", "qas": [{"question": "What?", "answers": [{"text": "B"}]}]}]}
]}`

// Each form is recognised, and its entries are what they are in ours.
func TestForms(t *testing.T) {
	for name, c := range map[string]struct {
		file           string
		kind           Kind
		entries, items int
		last           string // user's message, of the second item where there is one
		references     []string
	}{
		"ours.jsonl":   {"\ufeff{\"kind\":\"instruction\",\"prompt\":\"Say hi.\",\"answers\":[\"hi\"]}\n\n", Instruction, 1, 1, "Say hi.", []string{"hi"}},
		"alpaca.json":  {`[{"instruction":"Add.","input":"","output":"ok"},` + "\n" + `{"instruction":"Add.","input":"1 2","output":"3"}]`, Instruction, 2, 2, "Add.\n\n1 2", []string{"3"}},
		"alpaca.jsonl": {`{"instruction":"Add.","output":"3"}`, Instruction, 1, 1, "Add.", []string{"3"}},
		"xsum.jsonl":   {`{"document":"Long.","summary":"Short.","id":"7"}`, Summary, 1, 1, "Long.", []string{"Short."}},
		"boolq.jsonl":  {`{"question":"is it","title":"t","answer":true,"passage":"It is."}` + "\r\n" + `{"question":"is it not","answer":false,"passage":"It is."}`, YesNo, 2, 2, "is it not?", []string{"no"}},
		"imdb.jsonl":   {`{"text":"Bad.","label":0}` + "\n" + `{"text":"Good.<br />So good.","label":"pos"}`, Sentiment, 2, 2, "Good.\nSo good.", []string{"positive"}},
		"imdb.csv":     {"review,sentiment\n\"Good, and\nlong\",positive\nBad,negative\n", Sentiment, 2, 2, "Bad", []string{"negative"}},
		"hf.csv":       {"id,label,text\n3,1,Good\n", Sentiment, 1, 1, "Good", []string{"positive"}},
		"quac.json":    {quacFile, Conversation, 2, 3, "Why?", []string{"CANNOTANSWER"}},
	} {
		task, err := Read(name, []byte(c.file), 0)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		i := task.Items[min(1, len(task.Items)-1)]
		last := i.Messages[len(i.Messages)-1]
		if task.Kind != c.kind || task.Entries != c.entries || len(task.Items) != c.items || last.Role != "user" || !strings.Contains(last.Content, c.last) ||
			!slices.Equal(i.References, c.references) || task.Name != strings.Split(name, ".")[0] {
			t.Errorf("%s: %+v", name, task)
		}
	}
}

// A conversation goes on after the right answers, and its text stands at its beginning.
func TestConversation(t *testing.T) {
	task, err := Read("q.json", []byte(quacFile), 0)
	if err != nil {
		t.Fatal(err)
	}
	if first := task.Items[0]; !slices.Equal(first.References, []string{"Ada", "Ada flew"}) || !strings.HasPrefix(first.Messages[0].Content, "Ada flew.\n\n") {
		t.Errorf("%+v", first)
	}
	second := task.Items[1]
	var turns []string
	for _, m := range second.Messages {
		turns = append(turns, m.Role)
	}
	if !slices.Equal(turns, []string{"user", "assistant", "user"}) || second.Messages[1].Content != "Ada" || second.Entry != 0 || task.Items[2].Entry != 1 {
		t.Errorf("%+v", second)
	}
}

// Whatever is wrong with a file is said on one line with the line of the file.
func TestMalformed(t *testing.T) {
	good := `{"kind":"summary","passage":"p","answers":["a"]}` + "\n"
	for name, c := range map[string]struct{ file, want string }{
		"empty":             {" \n", "there is no entry"},
		"unknown form":      {good[:1] + `"x":1}`, "line 1: the form is unknown"},
		"not JSON":          {good + "{\n", "line 2: it is no JSON"},
		"not an object":     {good + "3\n", "line 2: a JSON number, where an object belongs"},
		"another form":      {good + `{"document":"d","summary":"s"}`, `line 2: "kind" is missing`},
		"another kind":      {good + `{"kind":"code","prompt":"p","tests":"t"}`, "line 2: kind code among entries of kind summary"},
		"no kind of ours":   {`{"kind":"poem","prompt":"p"}`, `line 1: kind "poem" is unknown`},
		"unknown field":     {`{"kind":"summary","passage":"p","answers":["a"],"anwsers":[]}`, `line 1: field "anwsers" is unknown`},
		"missing field":     {`{"kind":"summary","passage":"p"}`, "line 1: answers is missing"},
		"field of another":  {`{"kind":"summary","passage":"p","answers":["a"],"tests":"t"}`, "line 1: tests has no place in kind summary"},
		"wrong type":        {"\n\n" + `{"kind":"summary","passage":5,"answers":["a"]}`, `line 3: "passage" is a JSON number`},
		"empty text":        {`{"kind":"summary","passage":" ","answers":["a"]}`, "line 1: passage has an empty text"},
		"NUL":               {`{"kind":"summary","passage":"a\u0000b","answers":["a"]}`, "line 1: passage has a NUL"},
		"no label":          {`{"kind":"yesno","passage":"p","question":"q","answers":["maybe"]}`, `line 1: answer "maybe" of kind yesno: choose of yes, no`},
		"no answers":        {`{"kind":"conversation","passage":"p","turns":[{"question":"q"}]}`, "line 1: turn 1 has no answers"},
		"many turns":        {`{"kind":"conversation","passage":"p","turns":[` + strings.Repeat(`{"question":"q","answers":["a"]},`, 100) + `{"question":"q","answers":["a"]}]}`, "of 101 turns, of at most 100"},
		"not UTF-8":         {good + good + "\xff", "line 3: it is not UTF-8"},
		"a long line":       {good + strings.Repeat("x", mostEntry+1), "line 2: an entry of 1.0 MB"},
		"Alpaca, type":      {"[\n{\"instruction\":\"i\",\"output\":\"o\"},\n{\"instruction\":\"i\",\n\"output\":4}]", `line 4: "output" is a JSON number`},
		"Alpaca, cut":       {"[\n{\"instruction\":\"i\",\"output\":\"o\"},\n", "line 3: the JSON ends too early"},
		"Alpaca, syntax":    {"[{\"instruction\":\"i\",\"output\":\"o\"},\n\n{\"instruction\":]]", "line 3: it is no JSON"},
		"Alpaca, empty":     {`[{"instruction":"i","output":""}]`, "there is no entry"},
		"BoolQ, word":       {`{"question":"q","passage":"p","answer":"yes"}`, `line 1: "answer" is a JSON string`},
		"IMDB, label":       {`{"text":"t","label":2}`, `line 1: label "2" is unknown`},
		"CSV, no columns":   {"a,b\n1,2\n", "line 1: neither JSON nor comma-separated values"},
		"CSV, label":        {"text,label\n\"two\nlines\",pos\nx,5\n", `line 4: label "5" is unknown`},
		"CSV, fields":       {"text,label\nx\n", "line 2: wrong number of fields"},
		"CSV, quote":        {"text,label\nx,pos\n\"y,neg\n", "line 3: "},
		"QuAC, empty":       {`{"data":[{"paragraphs":[]}]}`, "line 1: an article without paragraphs"},
		"QuAC, no question": {`{"data":[` + "\n" + `{"paragraphs":[{"context":"c","qas":[]}]}]}`, "line 2: turns is missing"},
		"QuAC, type":        {"{\"data\":[\n{\"paragraphs\":[{\"context\":\n3}]}]}", `line 3: "paragraphs.context" is a JSON number`},
		"QuAC, cut":         {`{"data":[{"paragraphs":[{"context":"c"`, "line 1: the JSON ends too early"},
	} {
		task, err := Read(name, []byte(c.file), 0)
		if err == nil || !strings.HasPrefix(err.Error(), name+": ") || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %+v, %v, want %s", name, task.Entries, err, c.want)
		}
	}
}

// Some records of Alpaca have no output, and some of XSum no document: they are counted.
func TestEmptyRecords(t *testing.T) {
	for name, file := range map[string]string{
		"alpaca": `[{"instruction":"i","output":""},{"instruction":"i","output":"o"},{"instruction":"","input":" ","output":"o"}]`,
		"xsum":   `{"document":"","summary":"s"}` + "\n" + `{"document":"d","summary":"s"}` + "\n" + `{"document":"d","summary":"\n"}`,
	} {
		if task, err := Read(name, []byte(file), 0); err != nil || task.Entries != 1 || task.Empty != 2 {
			t.Errorf("%s: %+v, %v", name, task, err)
		}
	}
}

// A limit takes the first entries, and what follows them is not looked at.
func TestLimit(t *testing.T) {
	good := `{"kind":"summary","passage":"p","answers":["a"]}` + "\n"
	for name, file := range map[string]string{"lines": good + good + "{\n", "array": "[" + good + "," + good + ",{", "CSV": "text,label\na,0\nb,1\nc,2\n",
		"QuAC": strings.Replace(quacFile, "\n]}", ",\n3", 1)} {
		if task, err := Read(name, []byte(file), 2); err != nil || task.Entries != 2 {
			t.Errorf("%s: %d entries, %v", name, task.Entries, err)
		}
	}
	if _, err := Read("many", []byte(strings.Repeat(good, mostEntries+1)), 0); err == nil || !strings.Contains(err.Error(), "choose fewer with --limit") {
		t.Errorf("%v", err)
	}
}

func TestLoadFile(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "large.jsonl")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(file, mostFile+1); err != nil { // takes no room
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		file:                      "large.jsonl has 134 MB, of at most 134 MB: take a part of it",
		filepath.Join(dir, "nil"): "is no file, and no task of ours: choose code, ",
		dir:                       "has no directory neg",
		os.DevNull:                "is no regular file",
	} {
		if _, err := Load(path, 0); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", path, err, want)
		}
	}
}

// IMDB's directory gives reviews of either label by turns.
func TestReviews(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "test")
	for name, text := range map[string]string{"neg/0_1.txt": "Bad.", "neg/1_2.txt": "Worse.", "neg/2_1.txt": "Worst.", "pos/0_9.txt": "Good.", "pos/urls.list": "x"} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	labels := func(limit int) (labels []string) {
		tasks, err := Load(dir, limit)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range tasks[0].Items {
			labels = append(labels, i.References[0])
		}
		return labels
	}
	if got := fmt.Sprint(labels(0), labels(2)); got != "[negative positive negative negative] [negative positive]" {
		t.Error(got)
	}
	os.WriteFile(filepath.Join(dir, "pos/0_9.txt"), []byte("\xe9"), 0o644)
	if _, err := Load(dir, 0); err == nil || !strings.Contains(err.Error(), "0_9.txt is not UTF-8") {
		t.Error(err)
	}
}

// FuzzRead reads whatever there is: it fails with one line, or every item has something to
// ask and something to be judged by.
func FuzzRead(f *testing.F) {
	for _, s := range []string{quacFile, `[{"instruction":"i","input":"n","output":"o"}]`, "text,label\n\"a\"\"b\",pos\n", `{"document":"d","summary":"s"}`,
		`{"question":"q","passage":"p","answer":true}`, `{"text":"t","label":1}`, `{"kind":"code","prompt":"p","tests":"assert f()"}`,
		`{"kind":"conversation","passage":"p","turns":[{"question":"q","answers":["a"]}]}`, `{"data":[{"paragraphs":`, "\ufeff[", "\xff"} {
		f.Add([]byte(s), 0)
	}
	f.Fuzz(func(t *testing.T, data []byte, limit int) {
		task, err := Read("file", data, limit)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\r") {
				t.Errorf("%q", err)
			}
			return
		}
		if task.Entries == 0 || len(task.Items) < task.Entries || limit > 0 && task.Entries > limit {
			t.Errorf("%d entries, %d items, limit %d", task.Entries, len(task.Items), limit)
		}
		for _, i := range task.Items {
			if len(i.Messages) == 0 || len(i.Messages)%2 == 0 || (len(i.References) > 0) == (i.Tests != "") {
				t.Errorf("%+v", i)
			}
			for _, m := range i.Messages {
				if strings.TrimSpace(m.Content) == "" || strings.ContainsRune(m.Content, 0) {
					t.Errorf("%+v", m)
				}
			}
		}
	})
}
