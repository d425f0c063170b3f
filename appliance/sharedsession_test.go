package main

import (
	"encoding/json"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"skerry/appliance/admin"
	"skerry/appliance/bundle"
	"skerry/appliance/decode"
	"skerry/appliance/infer"
	"skerry/appliance/node"
	"skerry/appliance/node/nodetest"
	"skerry/appliance/server"
)

// daemonSession keeps a session as the daemon does: a question with a tool, an answer
// that calls it, what the tool said, and an answer to that which is whole or, with
// finish "", cut after said.
func daemonSession(t *testing.T, dir, state string, finish infer.Finish, said []int32) server.Record {
	t.Helper()
	man, err := bundle.ReadManifest(dir)
	if err != nil {
		t.Fatal(err)
	}
	seed := uint64(3)
	prompt := []int32{1, 2, 3, 4}
	r := server.Record{
		Bundle: node.BundleID(man), Answer: len(prompt), Finish: finish, ID: "0123456789abcdef", Owner: "laptop",
		Options: decode.Options{Mode: decode.Standalone, OnLoss: infer.GoAlone, Thresholds: []float64{2}, MaxTokens: 20},
		Request: &infer.Request{Session: "s", Client: "laptop", Model: man.Name, Options: infer.Options{Seed: &seed},
			Tools: []infer.Tool{{Name: "weather", Parameters: json.RawMessage(`{"type":"object"}`)}}},
		Messages: []infer.Message{
			{Role: "user", Content: "Is it raining?"},
			{Role: "assistant", ToolCalls: []infer.ToolCall{{ID: "call_1", Name: "weather", Arguments: json.RawMessage(`{"at":"sea"}`)}}},
			{Role: "tool", ToolCallID: "call_1", Content: "rain"},
		},
	}
	if finish != "" {
		r.Messages = append(r.Messages, infer.Message{Role: "assistant", Content: "It is."})
	}
	db := nodetest.OpenDB(t, state)
	log, err := node.Journal{DB: db}.Open("s", true)
	if err != nil {
		t.Fatal(err)
	}
	if err := log.Begin(r, prompt); err != nil {
		t.Fatal(err)
	}
	for i, id := range said {
		if err := log.Say(len(prompt)+i, id); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return r
}

// A session that the daemon kept is asked on by skerry run while no daemon runs, and
// nothing of it is lost: the daemon then has all messages, tool calls and ids, whose it
// is, and the newest answer by an id of its own.
func TestRunAsksOnInTheDaemonsSession(t *testing.T) {
	tiny, state := tinyBundle(t), t.TempDir()
	was := daemonSession(t, tiny, state, infer.Stop, []int32{7, 8})
	got := reportOf(t, []string{"run", "--bundle", tiny, "--raw", "--threads", "1", "--context", "512", "--mode", "standalone",
		"--max-tokens", "8", "--session", "s", "--state", state, "And tomorrow?"})
	db := nodetest.OpenDB(t, state)
	r := keptIn(t, db)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	want := append(slices.Clone(was.Messages), infer.Message{Role: "user", Content: "And tomorrow?"}, infer.Message{Role: "assistant", Content: got.Text})
	if a, b := jsonOf(t, r.Messages), jsonOf(t, want); a != b {
		t.Errorf("kept %s\nwant %s", a, b)
	}
	if r.Owner != "laptop" || r.ID == "" || r.ID == was.ID || r.Request == nil || len(r.Request.Tools) != 1 || r.Request.MaxTokens != 8 {
		t.Errorf("kept %+v", r)
	}

	s := startServing(t, tiny, state)
	awaitReady(t, s.socket)
	out, _ := expect(t, 0, "sessions", "show", "s", "--json", "--socket", s.socket)
	var shown admin.Session
	if err := json.Unmarshal([]byte(out), &shown); err != nil {
		t.Fatal(err)
	}
	if jsonOf(t, shown.Messages) != jsonOf(t, want) || shown.Owner != "laptop" || shown.Unfinished {
		t.Errorf("shown %s", out)
	}
	if out, _ = expect(t, 0, "sessions", "export", "s", "--socket", s.socket); !strings.Contains(out, `"call_1"`) || !strings.Contains(out, "And tomorrow?") {
		t.Errorf("exported %s", out)
	}
	c := socketClient(s.socket)
	defer c.CloseIdleConnections()
	reply, err := c.Post("http://skerry/api/v1/sessions/s/answer?answer="+r.ID, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(reply.Body)
	reply.Body.Close()
	if reply.StatusCode != 200 || !strings.Contains(string(body), "id: "+r.ID+".8\n") {
		t.Errorf("the answer by its id: %s %s", reply.Status, body)
	}
	s.signal(t, unix.SIGTERM)
	s.wait(t)
}

// An answer of the daemon's that was cut is gone on with under its own id and request.
func TestRunEndsTheDaemonsAnswer(t *testing.T) {
	tiny, state := tinyBundle(t), t.TempDir()
	was := daemonSession(t, tiny, state, "", []int32{7, 8})
	got := reportOf(t, []string{"run", "--bundle", tiny, "--raw", "--threads", "1", "--context", "512", "--mode", "standalone",
		"--session", "s", "--state", state, "rain"})
	db := nodetest.OpenDB(t, state)
	defer db.Close()
	r := keptIn(t, db)
	if r.ID != was.ID || r.Owner != "laptop" || jsonOf(t, r.Request) != jsonOf(t, was.Request) || r.Finish == "" {
		t.Errorf("kept %+v, was %+v", r, was)
	}
	if got.Usage.Journal != 2 || len(r.Messages) != 4 || r.Messages[1].ToolCalls[0].ID != "call_1" || r.Messages[3].Content != got.Text {
		t.Errorf("%d tokens of the journal, kept %+v", got.Usage.Journal, r.Messages)
	}
}

// Beside a running daemon, which has the database, skerry run asks the daemon: in a new
// session and in one with tool calls, and it says which of its flags the daemon cannot meet.
func TestRunAsksTheRunningDaemon(t *testing.T) {
	tiny, state := tinyBundle(t), t.TempDir()
	was := daemonSession(t, tiny, state, infer.Stop, []int32{7, 8})
	s := startServing(t, tiny, state)
	t.Setenv("SKERRY_SOCKET", s.socket)
	command := func(more ...string) []string {
		return append([]string{"run", "--threads", "1", "--max-tokens", "8", "--state", state, "--session", "s"}, more...)
	}
	got := reportOf(t, command("And tomorrow?"))
	if len(got.Tokens) == 0 || len(got.Tokens) > 8 || got.Mode != "standalone" || got.Usage.Prompt == 0 || got.Tokens[0].Source != infer.Exit1 && got.Tokens[0].Source != infer.Exit2 {
		t.Errorf("%+v", got)
	}
	want := append(slices.Clone(was.Messages), infer.Message{Role: "user", Content: "And tomorrow?"}, infer.Message{Role: "assistant", Content: got.Text})
	out, _ := expect(t, 0, "sessions", "show", "s", "--json")
	var shown admin.Session
	if err := json.Unmarshal([]byte(out), &shown); err != nil {
		t.Fatal(err)
	}
	if jsonOf(t, shown.Messages) != jsonOf(t, want) || shown.Owner != "laptop" {
		t.Errorf("shown %s, want %s", out, jsonOf(t, want))
	}
	out, _ = expect(t, 0, "run", "--max-tokens", "8", "--state", state, "--session", "new", "--events", "Hello")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if e := eventsOf(t, lines); e[0].Event != "begin" || e[0].Session != "new" || e[len(e)-1].Event != "end" || e[len(e)-1].Index != len(lines)-2 || e[1].Token == nil {
		t.Errorf("%s", out)
	}
	if text, said := expect(t, 0, command("And then?")...); strings.TrimSpace(text) == "" || !strings.Contains(said, "tokens") {
		t.Errorf("%q, %q", text, said)
	}
	if _, said := expect(t, 2, command("--threshold", "0.5", "--cloud", "127.0.0.1:1", "Hello")...); !strings.Contains(said, "leave out --cloud, --threshold") {
		t.Errorf("%s", said)
	}
	// One that answers somewhere else is no reason for the words of a lock alone.
	t.Setenv("SKERRY_SOCKET", filepath.Join(t.TempDir(), "none.sock"))
	if _, said := expect(t, 1, append(command("Hello"), "--bundle", tiny, "--mode", "standalone")...); !strings.Contains(said, "set SKERRY_SOCKET to its socket") || !strings.Contains(said, "none.sock") {
		t.Errorf("%s", said)
	}
	s.signal(t, unix.SIGTERM)
	s.wait(t)
}

// An answer that a restart of the daemon cut goes on when skerry run asks the same again,
// and another question is refused until then.
func TestRunFollowsTheDaemonsCutAnswer(t *testing.T) {
	tiny, state := tinyBundle(t), t.TempDir()
	was := daemonSession(t, tiny, state, "", []int32{7, 8})
	s := startServing(t, tiny, state)
	t.Setenv("SKERRY_SOCKET", s.socket)
	awaitReady(t, s.socket)
	question := was.Messages[len(was.Messages)-1].Content
	if _, said := expect(t, 2, "run", "--state", state, "--session", "s", "Another"); !strings.Contains(said, "is not finished") {
		t.Errorf("%s", said)
	}
	got := reportOf(t, []string{"run", "--state", state, "--session", "s", question})
	if got.Usage.Journal != 2 || len(got.Tokens) < 1 || got.Usage.Completion != 2+len(got.Tokens) {
		t.Errorf("%+v, %+v", got.Usage, got.Tokens)
	}
	s.signal(t, unix.SIGTERM)
	s.wait(t)
	db := nodetest.OpenDB(t, state)
	defer db.Close()
	if r := keptIn(t, db); r.ID != was.ID || r.Finish == "" {
		t.Errorf("kept %+v", r)
	}
}

func jsonOf(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// A chat in a session beside a running daemon is the daemon's: the next question follows what
// was said, and the next chat goes on where that one ended.
func TestChatBesideADaemon(t *testing.T) {
	tiny, state := tinyBundle(t), t.TempDir()
	s := startServing(t, tiny, state)
	awaitReady(t, s.socket)
	for i, questions := range [][]string{{"First.", "Second."}, {"Third."}} {
		c := commandOnTerminal(t, []string{"SKERRY_SOCKET=" + s.socket}, "run", "--state", state, "--session", "s", "--max-tokens", "8")
		for n, q := range questions {
			c.enter(t, q+"\n")
			c.turn(t, n+1)
		}
		c.enter(t, strings.Repeat("much too long ", 200)+"\n") // no question, and no reason to end
		c.await(t, &c.stdout, "word on the length", func(s string) bool { return strings.Contains(s, "longer than the context") })
		c.enter(t, "/bye\n")
		if code := c.wait(t); code != 0 {
			t.Errorf("chat %d: exit code %d: %s", i, code, c.screen())
		}
	}
	s.signal(t, unix.SIGTERM)
	s.wait(t)
	db := nodetest.OpenDB(t, state)
	defer db.Close()
	var asked []string
	r := keptIn(t, db)
	for _, m := range r.Messages {
		if m.Role == "user" {
			asked = append(asked, m.Content)
		}
	}
	if !slices.Equal(asked, []string{"First.", "Second.", "Third."}) || len(r.Messages) != 6 || r.Finish == "" {
		t.Errorf("kept %+v", r)
	}
}
