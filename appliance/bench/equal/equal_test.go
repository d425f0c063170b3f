package equal

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"skerry/appliance/bench/remote"
	"skerry/appliance/bench/strategies"
	"skerry/appliance/bundle"
	"skerry/appliance/chat/grammar/schema"
	"skerry/appliance/decode"
	"skerry/appliance/engine"
	"skerry/appliance/engine/enginetest"
	"skerry/appliance/infer"
	"skerry/cloudlink/linksim"
)

var (
	bundleDir = flag.String("bundle", "", "the bundle that answers; by default the default model's")
	count     = flag.Int("prompts", 1, "how many prompts are asked, 200 at most")
	tokens    = flag.Int("tokens", 12, "how many tokens are said after each")
	overLink  = flag.String("link", "rtt=50ms,loss=1%", "the emulated link")
	only      = flag.String("modes", "", "the modes that answer, as verified,unsplit+draft; by default all that the bundle has")
	results   = flag.String("results", "", "a file that results are added to, and that a run goes on from")
	atOnce    = flag.Int("at-once", 1, "how many prompts are asked at once, each over a link of its own with models of its own; give -test.parallel as well")
	stopAfter = flag.Duration("for", 0, "begin no prompt after so long; 0: none is left out")
)

// TestMain is the cloud's process as well: the bench runs its own program again for it.
func TestMain(m *testing.M) {
	if len(os.Args) < 3 || os.Args[1] != "bench" || os.Args[2] != "partition" {
		enginetest.Main(m)
	}
	var o remote.ServeOptions
	f := flag.NewFlagSet("partition", flag.ExitOnError)
	f.StringVar(&o.Bundle, "bundle", "", "")
	f.StringVar(&o.State, "state", "", "")
	f.IntVar(&o.Context, "context", 0, "")
	f.IntVar(&o.Sessions, "sessions", 0, "")
	f.Int("core", -1, "")
	f.Parse(os.Args[3:])
	if err := remote.Serve(context.Background(), os.Stdin, os.Stdout, o); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// result is of one answer, held against that of the whole model alone.
type result struct {
	Bundle   string         `json:"bundle"`
	Link     string         `json:"link"`
	Length   int            `json:"length"` // that was asked for
	Prompt   int            `json:"prompt"`
	Sampling string         `json:"sampling"`
	Mode     string         `json:"mode"`
	Draft    infer.Drafting `json:"draft"`
	Tokens   int            `json:"tokens"`
	Checks   int            `json:"checks"`
	Proposed int            `json:"proposed"`        // tokens that were drafted and checked, by the board's count
	Drafted  int            `json:"drafted"`         // tokens of the answer that a draft had right
	Again    int            `json:"again,omitempty"` // times that the answer was begun again, since the link was lost
	Differs  *difference    `json:"differs,omitempty"`
}

// difference is where two texts part.
type difference struct {
	At   int     `json:"at"` // tokens before it
	Want int32   `json:"want"`
	Got  int32   `json:"got"`
	Gap  float64 `json:"gap"` // between the whole model's logits of the two
}

// nearTie is the gap up to which a difference of greedy texts is put down to rounding.
const nearTie = 1e-3

func (d *difference) nearTie() bool { return d.Gap <= nearTie }

// key is what a result is of.
func (r result) key() string {
	return fmt.Sprintln(r.Bundle, r.Link, r.Length, r.Prompt, r.Sampling, r.Mode)
}

// way is a mode that is held against the whole model alone.
type way struct {
	strategies.Variant
	drafts []infer.Drafting // in turns, by prompt
}

// waysOf are those of a bundle. Each checks drafts whether they pay or not in some of its
// answers, so that there is something to be equal in spite of.
func waysOf(t testing.TB, m *bundle.Manifest) (all []way) {
	names := []string{string(decode.Verified), "cloud-only+draft"}
	boards := []infer.Drafting{infer.DraftLookup, infer.DraftAuto}
	always := []infer.Drafting{infer.DraftModel, infer.DraftLookup, infer.DraftAuto}
	if m.Draft != nil {
		names, boards = append(names, string(decode.Verified)+"-ids"), always
	}
	all = append(all, way{strategies.Variant{Name: "unsplit+draft", Mode: decode.Unsplit}, boards})
	for _, name := range names {
		v, err := strategies.ParseVariant(name)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, way{v, always})
	}
	if *only == "" {
		return all
	}
	return slices.DeleteFunc(all, func(w way) bool { return !slices.Contains(strings.Split(*only, ","), w.Name) })
}

// samplings of an answer; the seed is the prompt's. Under the schema every other is greedy.
func samplings(t *testing.T, i int) map[string]infer.Sampling {
	r := schema.NewRules()
	root, err := r.Follow(json.RawMessage(card), "schema", false, "")
	if err != nil {
		t.Fatal(err)
	}
	gbnf, err := r.Grammar([]string{root})
	if err != nil {
		t.Fatal(err)
	}
	warm := infer.Sampling{Temperature: .8, TopK: 40, TopP: .95, MinP: .05, Seed: uint64(i + 1)}
	under := warm
	if i%2 == 0 {
		under = infer.Sampling{Seed: warm.Seed}
	}
	under.Grammar = gbnf
	return map[string]infer.Sampling{"greedy": {Seed: warm.Seed}, "temperature 0.8": warm, "JSON schema": under}
}

var samplingNames = []string{"greedy", "temperature 0.8", "JSON schema"}

// rig is an edge and its cloud.
type rig struct {
	*testing.T
	bundle *bundle.Bundle
	edge   *remote.Edge
	cloud  *remote.Partition
	link   linksim.Spec
	conn   strategies.Conn
}

func newRig(t *testing.T) *rig {
	b := enginetest.Bundle
	if *bundleDir != "" {
		b = func(t testing.TB) *bundle.Bundle {
			b, err := bundle.Open(t.Context(), *bundleDir)
			if err != nil {
				t.Fatal(err)
			}
			return b
		}
	}
	r := &rig{T: t, bundle: b(t)}
	var prompts []string
	for i := range *count {
		prompts = append(prompts, prompt(i))
	}
	var err error
	if r.link, err = linksim.Parse(*overLink); err != nil {
		t.Fatal(err)
	}
	if r.edge, err = remote.OpenEdge(t.Context(), r.bundle, prompts, *tokens); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.edge.Close)
	if err := r.edge.OpenWhole(r.bundle); err != nil {
		t.Fatal(err)
	}
	if r.cloud, err = remote.Start(remote.Options{Version: "equal", State: t.TempDir(), Bundle: r.bundle, Model: r.edge.Model, Core: -1}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.cloud.Stop)
	t.Cleanup(r.hangUp)
	return r
}

func (r *rig) hangUp() {
	if r.conn != nil {
		r.conn.Close()
		r.conn = nil
	}
}

// say answers the i-th prompt.
func (r *rig) say(w way, i int, s infer.Sampling, draft infer.Drafting) (decode.Result, error) {
	var cloud decode.Cloud
	if decode.NeedsCloud(w.Mode) {
		if r.conn == nil {
			conn, err := r.cloud.Dial(r.Context(), r.link)
			if err != nil {
				return decode.Result{}, err
			}
			r.conn = conn
		}
		opened, err := r.conn.Open(r.Context(), w.Variant)
		if err != nil {
			return decode.Result{}, err
		}
		defer opened.Close()
		cloud = plain{opened}
	}
	m, err := w.On(r.edge.Model)
	if err != nil {
		r.Fatal(err)
	}
	for _, st := range stagesOf(m) {
		if err := st.Truncate(0, 0); err != nil {
			r.Fatal(err)
		}
	}
	m.Learnt = new(decode.Learnt)
	return decode.NewSession(m, 0, cloud).Generate(r.Context(), r.edge.Prompts[i], decode.Options{
		Mode: w.Mode, Draft: draft, Sampling: s, MaxTokens: *tokens, IgnoreEnd: s.Grammar == "", OnLoss: infer.EndAnswer,
	}, nil)
}

func stagesOf(m decode.Model) (out []decode.Stage) {
	for _, e := range m.Exits {
		out = append(out, e.Stage)
	}
	if m.Draft != nil {
		out = append(out, m.Draft.Stage)
	}
	return append(out, m.Whole)
}

// plain is a session as the token loop asks it.
type plain struct{ strategies.Session }

func (p plain) Ask(ctx context.Context, pos, topK int) (decode.Row, error) {
	row, _, err := p.Session.Ask(ctx, pos, topK)
	return row, err
}

func (p plain) AskRows(ctx context.Context, pos, n, topK int) ([]decode.Row, error) {
	rows, _, err := p.Session.AskRows(ctx, pos, n, topK)
	return rows, err
}

// lostInARow is how often an answer is begun again before the link is held to be of no use.
const lostInARow = 50

// answer is say, over a new connection where one was lost.
func (r *rig) answer(w way, i int, s infer.Sampling, draft infer.Drafting) (decode.Result, int) {
	for again := 0; ; again++ {
		got, err := r.say(w, i, s, draft)
		if err == nil {
			return got, again
		}
		if !decode.NeedsCloud(w.Mode) || again == lostInARow {
			r.Fatalf("%s, prompt %d: %v", w.Name, i, err)
		}
		r.Logf("%s, prompt %d begins again: %v", w.Name, i, err)
		r.hangUp()
	}
}

// compare finds where two texts part, nil where they do not.
func (r *rig) compare(i int, want, got []infer.Token) *difference {
	for at := range max(len(want), len(got)) {
		d := &difference{At: at, Want: -1, Got: -1}
		if at < len(want) {
			d.Want = want[at].ID
		}
		if at < len(got) {
			d.Got = got[at].ID
		}
		if d.Want == d.Got {
			continue
		}
		if d.Want < 0 || d.Got < 0 {
			d.Gap = 1e9
			return d
		}
		text := slices.Clone(r.edge.Prompts[i])
		for _, tok := range want[:at] {
			text = append(text, tok.ID)
		}
		if err := r.edge.Model.Whole.Truncate(0, 0); err != nil {
			r.Fatal(err)
		}
		b := engine.NewBatch(0, 0, len(text), 0)
		b.Tokens = text
		b.Want[len(text)-1] = engine.WantLogits
		out, err := r.edge.Model.Whole.Forward(b)
		if err != nil {
			r.Fatal(err)
		}
		d.Gap = max(float64(out.Logits[d.Want]-out.Logits[d.Got]), float64(out.Logits[d.Got]-out.Logits[d.Want]))
		return d
	}
	return nil
}

// kept are the results of earlier runs and of this one.
type kept struct {
	mu   sync.Mutex
	file *os.File
	all  map[string]result
}

func openKept(t *testing.T) *kept {
	k := &kept{all: map[string]result{}}
	if *results == "" {
		return k
	}
	f, err := os.OpenFile(*results, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	whole := int64(0) // bytes of lines that were written to their end
	for d := json.NewDecoder(f); ; {
		var r result
		err := d.Decode(&r)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			t.Fatalf("%s is no file of results: %v; remove it to begin anew", *results, err)
		}
		k.all[r.key()], whole = r, d.InputOffset()
	}
	if err := f.Truncate(whole); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Seek(0, io.SeekEnd); err != nil {
		t.Fatal(err)
	}
	if whole > 0 {
		fmt.Fprintln(f)
	}
	k.file = f
	return k
}

func (k *kept) has(r result) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	_, done := k.all[r.key()]
	return done
}

func (k *kept) add(t *testing.T, r result) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.all[r.key()] = r
	if k.file == nil {
		return
	}
	if err := json.NewEncoder(k.file).Encode(r); err != nil {
		t.Fatal(err)
	}
}

// With drafts, over a link with delay and loss, greedy, sampled and under a schema: the tokens of
// the whole model alone. A greedy difference where that model's two likeliest tokens are all but
// equally likely is counted by name and is no failure.
func TestEqual(t *testing.T) {
	if testing.Short() {
		t.Skip("the link is slow")
	}
	k := openKept(t)
	began := time.Now()
	t.Run("prompts", func(t *testing.T) {
		for first := range *atOnce {
			t.Run(fmt.Sprint(first), func(t *testing.T) {
				t.Parallel()
				r := newRig(t)
				ways := waysOf(t, r.bundle.Manifest)
				for i := first; i < *count; i += *atOnce {
					if *stopAfter > 0 && time.Since(began) > *stopAfter {
						t.Logf("stopped before prompt %d; the same command goes on from there", i)
						break
					}
					for _, name := range samplingNames {
						r.one(k, ways, i, name, samplings(t, i)[name])
					}
				}
			})
		}
	})
	k.report(t)
}

// one has every way answer that has not answered in an earlier run.
func (r *rig) one(k *kept, ways []way, i int, name string, s infer.Sampling) {
	var want decode.Result
	for _, w := range ways {
		x := result{Bundle: fmt.Sprintf("%.6x", r.bundle.Manifest.ID()), Link: r.link.String(), Length: *tokens, Prompt: i, Sampling: name, Mode: w.Name, Draft: w.drafts[i%len(w.drafts)]}
		if k.has(x) {
			continue
		}
		if want.Tokens == nil {
			want, _ = r.answer(way{Variant: strategies.Variant{Name: "unsplit", Mode: decode.Unsplit}}, i, s, infer.DraftOff)
		}
		got, again := r.answer(w, i, s, x.Draft)
		x.Tokens, x.Checks, x.Again = len(got.Tokens), got.Checks, again
		for _, a := range got.Proposed {
			x.Proposed += a.Checked
		}
		for _, tok := range got.Tokens {
			if tok.Source != infer.FromUnsplit && tok.Source != infer.FromCloud {
				x.Drafted++
			}
		}
		x.Differs = r.compare(i, want.Tokens, got.Tokens)
		k.add(r.T, x)
	}
}

// report prints how many answers were equal, and names those that were not.
func (k *kept) report(t *testing.T) {
	type row struct{ answers, tokens, drafted, equal, ties, again int }
	rows := map[string]*row{}
	var names, unequal []string
	for _, r := range k.all {
		name := fmt.Sprintf("%-18s %-16s", r.Mode, r.Sampling)
		x := rows[name]
		if x == nil {
			x = &row{}
			rows[name], names = x, append(names, name)
		}
		x.answers++
		x.tokens += r.Tokens
		x.again += r.Again
		x.drafted += r.Drafted
		switch d := r.Differs; {
		case d == nil:
			x.equal++
		case d.nearTie():
			x.ties++
			unequal = append(unequal, fmt.Sprintf("near-tie: prompt %d, %s, %s: token %d is %d, not %d, by %.2g", r.Prompt, r.Mode, r.Sampling, d.At, d.Got, d.Want, d.Gap))
		default:
			t.Errorf("prompt %d (%s), %s, %s, draft %s: token %d is %d, not %d, by %.3g", r.Prompt, prompt(r.Prompt), r.Mode, r.Sampling, r.Draft, d.At, d.Got, d.Want, d.Gap)
		}
	}
	slices.SortFunc(names, cmp.Compare)
	slices.Sort(unequal)
	var out strings.Builder
	fmt.Fprintln(&out, "answers held against the whole model's, token for token")
	for _, name := range names {
		x := rows[name]
		fmt.Fprintf(&out, "%s %3d of %3d equal, %d near-ties; %6d tokens, %6d of them drafted; begun again %d times\n", name, x.equal, x.answers, x.ties, x.tokens, x.drafted, x.again)
	}
	t.Log(out.String() + strings.Join(unequal, "\n"))
}
