package peer_test

import (
	"bytes"
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"skerry/appliance/bench/peer"
	"skerry/appliance/bundle"
	"skerry/appliance/bundle/fetch"
	"skerry/appliance/engine"
	"skerry/appliance/engine/enginetest"
	"skerry/build/testleak"
	"skerry/build/testshort"
)

func TestMain(m *testing.M) { enginetest.Main(m) }

// install returns the peer, or skips with the reason.
func install(tb testing.TB) *peer.Peer {
	tb.Helper()
	testshort.Skip(tb, "it computes with two builds of llama.cpp")
	cache, err := fetch.CacheDir()
	if err != nil {
		tb.Fatal(err)
	}
	p, err := peer.Install(tb.Context(), cache, func(step string, done, total int64) { tb.Log(step, done, total) })
	if errors.Is(err, peer.ErrUnavailable) {
		tb.Skip(err)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func start(tb testing.TB, path string, o peer.Options) *peer.Runner {
	tb.Helper()
	r, err := install(tb).Start(context.Background(), path, o) // tb's ends before Cleanup
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := r.Close(); err != nil {
			tb.Error(err)
		}
	})
	return r
}

const question = "A lighthouse stands on a rock in the sea. Its keeper"

func tokens(tb testing.TB, s *engine.Stage, text string) []int32 {
	tb.Helper()
	v := s.Vocab()
	defer v.Close()
	ids, err := v.Tokenize(text, true, false)
	if err != nil {
		tb.Fatal(err)
	}
	return ids
}

// The peer computes the same model: what it says greedily is teacher-forced
// through our engine, whose best token may differ at near-ties only.
func TestSameModel(t *testing.T) {
	path := enginetest.Bundle(t).Path(bundle.Unsplit)
	r := start(t, path, peer.Options{FlashAttention: true, Context: 512})
	ours := enginetest.Open(t, path, engine.Options{Context: 512})
	prompt := tokens(t, ours, question)
	const n = 64
	said, err := r.Greedy(t.Context(), prompt, n)
	if err != nil {
		t.Fatal(err)
	}
	forced := prompt
	for _, c := range said[:n-1] {
		forced = append(forced, c.Token)
	}
	b := engine.NewBatch(0, 0, len(forced), 0)
	b.Tokens = forced
	for i := len(prompt) - 1; i < len(forced); i++ {
		b.Want[i] = engine.WantLogits
	}
	out, err := ours.Forward(b)
	if err != nil {
		t.Fatal(err)
	}
	near := 0
	for i, c := range said {
		row := out.Logits[i*ours.VocabSize() : (i+1)*ours.VocabSize()]
		top := row[c.Token]
		for _, v := range row {
			top = max(top, v)
		}
		// Kernels of two processors are 0.2 apart in the mean square, and the two programs
		// choose theirs by themselves: another model is several apart.
		if gap := top - row[c.Token]; gap > 1.5 || gap > 0 && c.Margin > 1.5 {
			t.Errorf("token %d: the peer says %d by %.3f, which is %.3f behind our best", i, c.Token, c.Margin, gap)
		} else if gap > 0 {
			near++
		}
	}
	last, err := r.Logits(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	diff := 0.0
	for i, v := range out.Logits[(n-1)*ours.VocabSize():] {
		diff = max(diff, math.Abs(float64(v-last[i])))
	}
	t.Logf("%s, kernels %s: %d of %d tokens are our greedy ones, %d near-ties; logits of the last differ by %.4g at most",
		install(t).Name(), r.Kernels(), n-near, n, near, diff)
	if near > n/4 || !(diff < 4) {
		t.Errorf("%d near-ties of %d, logits off by %g: this is another model", near, n, diff)
	}
}

// The same positions give the same logits however they got there.
func TestPromptThenDecode(t *testing.T) {
	r := start(t, enginetest.Tiny(t), peer.Options{FlashAttention: true, Batch: 16, Context: 128})
	ids := make([]int32, 50)
	for i := range ids {
		ids[i] = int32(300 + i)
	}
	row := func(at int) []float32 {
		if d, err := r.Prompt(t.Context(), ids[:at]); err != nil || d <= 0 {
			t.Fatal(d, err)
		}
		if at < len(ids) {
			if d, err := r.Decode(t.Context(), ids[at:]); err != nil || d <= 0 {
				t.Fatal(d, err)
			}
		}
		row, err := r.Logits(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return row
	}
	whole := row(50)
	if len(whole) != 512 {
		t.Fatalf("%d logits", len(whole))
	}
	for _, at := range []int{1, 16, 17, 49} {
		for i, v := range row(at) {
			if math.Abs(float64(v-whole[i])) > 1e-3 {
				t.Fatalf("after a prompt of %d, logit %d is %v, not %v", at, i, v, whole[i])
			}
		}
	}
	if _, err := r.Decode(t.Context(), make([]int32, 300)); err == nil || !strings.Contains(err.Error(), "context") {
		t.Errorf("beyond the context: %v", err)
	}
	if _, err := r.Prompt(t.Context(), []int32{1 << 20}); err == nil {
		t.Error("a token outside the vocabulary: no error")
	}
	if _, err := r.Prompt(t.Context(), nil); err == nil {
		t.Error("no tokens: no error")
	}
	row(16) // it went on
}

// A context that ends takes the process along, and nothing is left behind.
func TestCancel(t *testing.T) {
	p := install(t)
	path := enginetest.Tiny(t)
	defer testleak.None(t, goleak.IgnoreCurrent())
	ctx, cancel := context.WithCancel(t.Context())
	r, err := p.Start(ctx, path, peer.Options{})
	if err != nil {
		t.Fatal(err)
	}
	one, stop := context.WithCancel(ctx)
	stop()
	if _, err := r.Prompt(one, []int32{1, 2}); !errors.Is(err, context.Canceled) {
		t.Errorf("a prompt whose context is done: %v", err)
	}
	if _, err := r.Prompt(ctx, []int32{1, 2}); err == nil {
		t.Error("the process went on")
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if r, err = p.Start(ctx, path, peer.Options{}); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if _, err := r.Prompt(t.Context(), []int32{1}); err == nil {
		t.Error("a prompt after Close: no error")
	}
}

func TestBadModel(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.gguf")
	if err := os.WriteFile(bad, []byte("GGUFnot really"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := install(t).Start(t.Context(), bad, peer.Options{})
	if err == nil || !strings.Contains(err.Error(), "bad.gguf") {
		t.Errorf("a damaged model: %v", err)
	}
}

// What is missing is named, before anything is fetched.
func TestUnavailable(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := peer.Install(t.Context(), t.TempDir(), nil)
	if !errors.Is(err, peer.ErrUnavailable) || !strings.Contains(err.Error(), "npm") {
		t.Errorf("without npm: %v", err)
	}
}

// A package other than the pinned one is refused.
func TestAltered(t *testing.T) {
	install(t) // npm, git and cc are there
	bin := t.TempDir()
	// It stands in for npm and leaves a tarball of the right name.
	script := "#!/bin/sh\nwhile [ \"$1\" != --pack-destination ]; do shift; done\necho altered >\"$2/node-llama-cpp-linux-x64-" + peer.Version + ".tgz\"\n"
	if err := os.WriteFile(filepath.Join(bin, "npm"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	var steps bytes.Buffer
	_, err := peer.Install(t.Context(), t.TempDir(), func(step string, _, _ int64) { steps.WriteString(step) })
	if err == nil || errors.Is(err, peer.ErrUnavailable) || !strings.Contains(err.Error(), "sha512") {
		t.Errorf("an altered package: %v", err)
	}
	if !strings.Contains(steps.String(), "download") {
		t.Errorf("steps %q", steps.String())
	}
}

// llama.cpp's own speculation says what the model says without; where the model drafts for
// itself, every draft is right, and few checks are made.
func TestSpeculator(t *testing.T) {
	path := enginetest.Bundle(t).Path(bundle.Unsplit)
	ours := enginetest.Open(t, path, engine.Options{Context: 512})
	prompt := tokens(t, ours, question)
	const n = 24
	said := map[string]*peer.Said{}
	for _, d := range []peer.Drafts{{}, {Kind: "draft-simple", Model: path, Max: 4}, {Kind: "ngram-simple"}} {
		d.Options = peer.Options{Context: 512}
		s, err := install(t).Speculate(t.Context(), path, d)
		if err != nil {
			t.Fatal(err)
		}
		if said[d.Kind], err = s.Say(t.Context(), prompt, n); err != nil {
			t.Error(err)
		}
		if _, err := s.Say(t.Context(), nil, n); err == nil {
			t.Errorf("%q: no prompt is taken for one", d.Kind)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	plain, drafted := said[""], said["draft-simple"]
	if plain == nil || drafted == nil {
		t.FailNow()
	}
	if plain.Checks != n || plain.Drafted != 0 || len(plain.Tokens) != n {
		t.Errorf("without drafts: %d checks, %d drafted, %d tokens", plain.Checks, plain.Drafted, len(plain.Tokens))
	}
	// Near-ties may fall either way, since a check computes several rows at once.
	if drafted.Accepted < drafted.Drafted*3/4 || drafted.Checks > n/2 {
		t.Errorf("drafts of the model itself: %d checks, %d of %d accepted", drafted.Checks, drafted.Accepted, drafted.Drafted)
	}
	for _, d := range []peer.Drafts{{Kind: "draft-simple", Model: "/nowhere.gguf"}, {Kind: "oracle"}} {
		if _, err := install(t).Speculate(t.Context(), path, d); err == nil {
			t.Errorf("%+v is loaded", d)
		}
	}
}
