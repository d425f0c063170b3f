package node

import (
	"context"
	"log/slog"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"skerry/appliance/bundle"
	"skerry/appliance/cloudnode"
	"skerry/appliance/config"
	"skerry/appliance/decode"
	"skerry/appliance/engine"
	"skerry/appliance/infer"
	"skerry/appliance/node/nodetest"
	"skerry/appliance/status"
	"skerry/cloudlink"
	"skerry/cloudlink/partition"
	"skerry/cloudlink/trust"
	"skerry/cloudlink/wire"
)

// openStageOf opens a stage of a bundle for two sequences.
func openStageOf(t *testing.T, dir string, role bundle.Role) *engine.Stage {
	t.Helper()
	s, err := engine.OpenStage((&bundle.Bundle{Dir: dir}).Path(role), engine.Options{Context: 512, Sequences: 2, Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// serveBundle serves a bundle, with its whole model where that is wanted, to a board that
// may send text. It returns the state directory of the board and the cloud's address.
func serveBundle(t *testing.T, dir string, id wire.Hash, whole bool) (state, addr string) {
	t.Helper()
	state = t.TempDir()
	served := partition.Bundle{ID: id, Name: "tiny", Stage: cloudnode.NewTail(openStageOf(t, dir, bundle.Cloud))}
	if whole {
		served.Whole = cloudnode.NewWhole(openStageOf(t, dir, bundle.Unsplit))
	}
	part, err := partition.NewServer(partition.Config{Bundles: []partition.Bundle{served}})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := cloudlink.ListenDev("127.0.0.1:0", filepath.Join(state, "dev"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- part.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		ln.Close()
	})
	return state, ln.Addr().String()
}

// Before a cloud that may see text and has said that it holds the whole model, a board with
// a draft model loads nothing else, sends token ids, and says what the whole model says;
// before any other it holds the head stage and sends hidden states.
func TestBoardSendsTokens(t *testing.T) {
	dir, m := draftedBundle(t)
	id := wire.Hash(m.ID())
	whole := openStageOf(t, dir, bundle.Unsplit)
	for name, c := range map[string]struct {
		whole  bool
		may    trust.Disclosure
		tokens bool
	}{
		"text, the whole model":   {true, trust.Text, true},
		"text, the tail alone":    {false, trust.Text, false},
		"hidden, the whole model": {true, trust.Hidden, false},
	} {
		t.Run(name, func(t *testing.T) {
			state, addr := serveBundle(t, dir, id, c.whole)
			link, err := startLink(linkSettings{Cloud: addr, Encoding: "f32", State: state}, nodetest.OpenDB(t, state), slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			defer link.close()
			link.may = c.may
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			if err := link.Await(ctx); err != nil {
				t.Fatal(err)
			}
			conf := config.Default()
			conf.Bundle, conf.Mode, conf.Context, conf.Threads, conf.Parallel, conf.Cache = dir, string(decode.Collaborative), 256, 1, 1, 0
			l := &loader{conf: conf, state: state, root: limitedTo(t, 4000), log: slog.New(slog.DiscardHandler)}
			l.withLink(link, func() {})
			model, err := l.Load(ctx, infer.Model{}, func(status.State, status.Progress) {})
			if err != nil {
				t.Fatal(err)
			}
			defer model.Close()
			defer model.Slots.Close()
			o := l.loaded
			want := []bundle.Role{bundle.Board1, bundle.DraftModel}
			if c.tokens {
				want = want[1:]
			}
			if !slices.Equal(o.roles, want) || o.model.SendsTokens() != c.tokens || len(o.stages) != len(want) {
				t.Fatalf("%v are loaded, token ids go up: %v", o.roles, o.model.SendsTokens())
			}
			cloud, err := link.open(ctx, decode.Collaborative, id, o.model, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer cloud.Close()
			prompt, opt := []int32{3, 4, 5, 6}, decode.Options{Mode: decode.Unsplit, OnLoss: infer.GoAlone, MaxTokens: 12, IgnoreEnd: true}
			if err := whole.Truncate(0, 0); err != nil {
				t.Fatal(err)
			}
			exact, err := decode.NewSession(decode.Model{Whole: whole, Vocab: o.model.Vocab, Context: 256}, 0, nil).Generate(ctx, prompt, opt, nil)
			if err != nil {
				t.Fatal(err)
			}
			// A busy machine may lose the link for a moment: that is waited out.
			opt.Mode, opt.Thresholds, opt.OnLoss = decode.Collaborative, []float64{1.1}, infer.AwaitCloud
			got, err := decode.NewSession(o.model, 0, cloud).Generate(ctx, prompt, opt, nil)
			if err != nil {
				t.Fatal(err)
			}
			for i, tok := range got.Tokens {
				if tok.ID != exact.Tokens[i].ID || tok.Source != infer.FromCloud {
					t.Errorf("token %d is %+v, the whole model says %d", i, tok, exact.Tokens[i].ID)
				}
			}
			if st := cloud.Stats(); cloud.Tokens() != c.tokens || c.tokens && st.RowBytes != 4 {
				t.Errorf("rows of %d bytes went up", st.RowBytes)
			}
		})
	}
}

// Memory is planned without the head stage where token ids go up, and with it again where
// the draft model cannot be had.
func TestFitWithTokens(t *testing.T) {
	dir, m := draftedBundle(t)
	fit := func(tokens bool, man *bundle.Manifest) *opening {
		o := &opening{loader: &loader{conf: config.Default(), root: limitedTo(t, 1000), log: slog.New(slog.DiscardHandler)},
			bundle: &bundle.Bundle{Dir: dir, Manifest: man}, mode: decode.Collaborative, tokens: tokens}
		if err := o.fitWithDraft(t.Context()); err != nil {
			t.Fatal(err)
		}
		return o
	}
	with, without := fit(false, m), fit(true, m)
	if with.plan.Bytes <= without.plan.Bytes || without.rowBytes() != 4 || with.cacheName() == without.cacheName() {
		t.Errorf("%d bytes with the head stage, %d without", with.plan.Bytes, without.plan.Bytes)
	}
	short := *m
	short.Draft = &bundle.Draft{}
	*short.Draft = *m.Draft
	short.Draft.ContextLength = m.ContextLength / 2 // behind it nobody speaks
	if o := fit(true, &short); o.plan.Context != short.Draft.ContextLength {
		t.Errorf("a context of %d with a draft of %d", o.plan.Context, short.Draft.ContextLength)
	}
	large := *m
	large.Draft = &bundle.Draft{}
	*large.Draft = *m.Draft
	large.Draft.Bytes = 3e9
	if o := fit(true, &large); o.tokens || !slices.Contains(o.roles, bundle.Board1) {
		t.Errorf("without a draft %v are loaded, token ids go up: %v", o.roles, o.tokens)
	}
}
