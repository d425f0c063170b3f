package lead_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"skerry/appliance/bundle"
	"skerry/appliance/cloudnode"
	"skerry/appliance/cloudnode/lead"
	"skerry/appliance/decode"
	"skerry/appliance/engine"
	"skerry/appliance/engine/enginetest"
	"skerry/appliance/infer"
	"skerry/appliance/node"
	"skerry/build/testseed"
	"skerry/cloudlink"
	"skerry/cloudlink/partition"
)

func TestMain(m *testing.M) { enginetest.Main(m) }

// patience is a safety net, no assertion.
const patience = 5 * time.Minute

// scripted is a draft that knows a text, but for some positions.
type scripted struct {
	vocab int
	text  []int32
	wrong func(pos int) bool
}

func (s *scripted) Width() int              { return 1 }
func (s *scripted) Truncate(int, int) error { return nil }

func (s *scripted) Forward(b engine.Batch) (out engine.Output, err error) {
	for i, pos := range b.Pos {
		if b.Want[i] != engine.WantLogits {
			continue
		}
		row, next := make([]float32, s.vocab), int32(0)
		if at := int(pos) + 1; at < len(s.text) {
			next = s.text[at]
		}
		if s.wrong(int(pos)) {
			next = (next + 1) % int32(s.vocab)
		}
		row[next] = 20
		out.Logits = append(out.Logits, row...)
	}
	return out, nil
}

const schema = `root ::= "{\"name\": \"" [a-z]+ "\", \"age\": " [0-9] [0-9]? "}"`

// What a cloud says by itself is what the whole model says in one process, token for token, over
// QUIC, under every sampling, with drafts that are right, sometimes or always wrong.
func TestLedEqualsUnsplit(t *testing.T) {
	b := enginetest.Bundle(t)
	const positions = 512
	open := func() *engine.Stage {
		s, err := engine.OpenStage(b.Path(bundle.Unsplit), engine.Options{Context: positions, Threads: 1})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	}
	whole, alone := open(), open()
	vocab := whole.Vocab()
	t.Cleanup(vocab.Close)
	rng := rand.New(rand.NewPCG(testseed.Of(t), 1))
	draft := &scripted{vocab: vocab.Size()}
	leader := lead.New(lead.Options{Vocab: vocab, Draft: &decode.DraftModel{Stage: draft}, Sequences: 1})
	client := serve(t, partition.Bundle{ID: b.Manifest.ID(), Name: "test", Stage: cloudnode.NewTail(whole), Whole: cloudnode.NewWhole(whole), Leader: leader})

	for i, c := range []struct {
		name     string
		sampling infer.Sampling
		wrong    func(int) bool
	}{
		{"greedy", infer.Sampling{}, func(int) bool { return rng.IntN(3) == 0 }},
		{"sampled", infer.Sampling{Temperature: 0.8, TopK: 40, TopP: 0.95, Seed: 5}, func(int) bool { return false }},
		{"all candidates", infer.Sampling{Temperature: 0.8, Seed: 6}, func(int) bool { return true }},
		{"penalized", infer.Sampling{Temperature: 0.8, TopK: 40, Seed: 7, Repeat: 1.2}, func(int) bool { return rng.IntN(4) == 0 }},
		{"schema", infer.Sampling{Temperature: 0.8, Seed: 8, Grammar: schema}, func(int) bool { return rng.IntN(4) == 0 }},
	} {
		prompt, err := vocab.Chat([]infer.Message{{Role: "user", Content: []string{"Name three colours.", "Describe a person as JSON."}[i%2]}})
		if err != nil {
			t.Fatal(err)
		}
		ids, err := vocab.Tokenize(prompt, true, true)
		if err != nil {
			t.Fatal(err)
		}
		o := decode.Options{Mode: decode.Unsplit, MaxTokens: 20, OnLoss: infer.EndAnswer, Sampling: c.sampling}
		if err := alone.Truncate(0, 0); err != nil {
			t.Fatal(err)
		}
		want := answer(t, decode.Model{Whole: alone, Vocab: vocab, Context: positions}, nil, ids, o)
		draft.text, draft.wrong = slices.Concat(ids, idsOf(want)), c.wrong
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		s, err := client.OpenSession(ctx, cloudlink.SessionOptions{Bundle: b.Manifest.ID(), Tokens: true, Durable: true, Vocabulary: vocab.Size()})
		if err == nil {
			err = s.Ready(ctx)
		}
		if err != nil {
			t.Fatal(err)
		}
		o.Mode, o.Draft = decode.CloudLed, infer.DraftModel
		m := decode.Model{Exits: []decode.Exit{{Stage: decode.NewTokenStage()}}, Vocab: vocab, Context: positions}
		got := answer(t, m, &node.CloudSession{Session: s}, ids, o)
		cancel()
		if got.Text != want.Text || !slices.Equal(idsOf(got), idsOf(want)) || got.Finish != want.Finish {
			t.Errorf("%s: %q (%s), want %q (%s)", c.name, got.Text, got.Finish, want.Text, want.Finish)
		}
		for _, tok := range got.Tokens {
			if tok.Source != infer.FromCloud || !tok.Verified {
				t.Errorf("%s: %+v", c.name, tok)
			}
		}
		if p := got.Proposed[infer.FromCloud]; got.Asks != 1 || len(got.Changes) != 0 || p.Checked == 0 || got.Checks > len(got.Tokens) {
			t.Errorf("%s: %d asks, %d checks, %+v drafted, %+v", c.name, got.Asks, got.Checks, p, got.Changes)
		}
		s.Close()
	}
}

// Settings that are none, or that another program knows, are refused: the board then asks for
// rows and samples itself.
func TestRefusesSettings(t *testing.T) {
	l := lead.New(lead.Options{}).Session()
	defer l.Close()
	for _, settings := range []string{`{"temperature":-1}`, `{"mirostat":2}`, `{`, `[1]`, `{"temperature":"hot"}`} {
		if _, err := l.Lead(t.Context(), []int32{1, 2}, partition.LeadOptions{Max: 5, Begin: 2, Sampler: []byte(settings)}, nil, nil); err == nil {
			t.Errorf("%s was taken", settings)
		}
	}
	for _, begin := range []int{-1, 0, 3} {
		if _, err := l.Lead(t.Context(), []int32{1, 2}, partition.LeadOptions{Max: 5, Begin: begin}, nil, nil); err == nil {
			t.Errorf("an answer at %d was taken", begin)
		}
	}
}

// FuzzSettings: whatever a board sends as settings, they are taken or refused.
func FuzzSettings(f *testing.F) {
	for _, s := range []string{`{}`, ``, `{"seed":7,"temperature":0.8,"grammar":"root ::= [a-z]+"}`, `{"logit_bias":[{"id":1,"bias":-100}]}`, `{"a":1}`} {
		f.Add([]byte(s), 1, 5, "auto")
	}
	f.Fuzz(func(t *testing.T, settings []byte, begin, most int, draft string) {
		lead.CheckSettings([]int32{1, 2, 3}, partition.LeadOptions{Max: most, Begin: begin, Draft: draft, Sampler: settings})
	})
}

// serve serves a bundle over QUIC on loopback.
func serve(t *testing.T, served partition.Bundle) *cloudlink.Client {
	t.Helper()
	dir := t.TempDir()
	ln, err := cloudlink.ListenDev("127.0.0.1:0", dir)
	if err != nil {
		t.Fatal(err)
	}
	server, err := partition.NewServer(partition.Config{Bundles: []partition.Bundle{served}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		ln.Close()
	})
	_, conf, err := cloudlink.DevTLS(dir)
	if err != nil {
		t.Fatal(err)
	}
	dialing, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	client, err := cloudlink.Dial(dialing, cloudlink.Config{Addr: ln.Addr().String(), TLS: conf, Device: "test", Epoch: 1, Idle: patience, Handshake: patience})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

func answer(t *testing.T, m decode.Model, cloud decode.Cloud, prompt []int32, o decode.Options) decode.Result {
	t.Helper()
	a, err := decode.NewSession(m, 0, cloud).Generate(t.Context(), prompt, o, nil)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func idsOf(a decode.Result) (ids []int32) {
	for _, t := range a.Tokens {
		ids = append(ids, t.ID)
	}
	return ids
}
