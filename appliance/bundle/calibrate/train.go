package calibrate

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/disk"
	"skerry/appliance/bundle/fetch"
	"skerry/appliance/bundle/gguf"
	"skerry/appliance/bundle/split"
	"skerry/appliance/bundle/train"
	"skerry/appliance/engine"
)

// TrainOptions say how a draft is trained. The zero value trains the blocks of the second half
// of what lies below the last exit.
type TrainOptions struct {
	// Texts are the user's files to learn from; the packaged texts where there are none. Half
	// of what is learned from is the model's own answers.
	Texts  []string
	Tokens int // to learn from at most, about; default DefaultTrainTokens
	// From is the first block that is trained, counted from 0; default half of the blocks
	// below the last exit.
	From int
	// Passes is how often each text is learned from, about; default 2.
	Passes  int
	Seed    uint64
	Threads int // default all cores
	Fetch   fetch.Options
	// Cache is where what was read and written is kept, and how far the training has come, until
	// the draft is done; default as for a calibration. Keep leaves it there.
	Cache string
	Keep  bool
	// Replace allows a draft model that the bundle has to be replaced.
	Replace  bool
	Progress func(step string, done, total int64)
	Note     func(format string, args ...any)

	tune, measured, round, prompts int // tokens that the curve, and that the draft is measured on, and of a round; prompts answered at once
}

// DefaultTrainTokens is what a model of 135M parameters takes some hours of one core for.
const DefaultTrainTokens = 300_000

// TrainPoint is how far a training came with so many tokens of text: its agreement with the
// whole model on text that it does not learn from, by kind too, and the divergence that it
// lowers, in nats, on the text that it read last.
type TrainPoint struct {
	Tokens    int                `json:"tokens"`
	Loss      float64            `json:"loss,omitempty"`
	Agreement float64            `json:"agreement"`
	ByKind    map[string]float64 `json:"by_kind"`
}

// Trained is what came of a training.
type Trained struct {
	// Curve begins before the first step and ends after the last.
	Curve []TrainPoint `json:"curve"`
	// Flat says that it ended before all text was read, as more of it no longer helped.
	Flat bool `json:"flat"`
	// Draft is the bundle's new draft as it was measured; nil where nothing was gained and the
	// bundle stays as it was.
	Draft *bundle.Draft `json:"draft,omitempty"`
	// Exit is the fitted exit that the training began with, as the bundle has it.
	Exit bundle.Head `json:"exit"`
}

// Gained says that the draft agrees more with the whole model than it did before, and than the
// exit does where that was measured.
func (t *Trained) Gained() bool {
	if len(t.Curve) < 2 {
		return false
	}
	last, exit, kinds := t.Curve[len(t.Curve)-1], 0.0, 0
	for kind := range last.ByKind {
		if e, ok := t.Exit.ByKind[kind]; ok {
			exit, kinds = exit+e.Agreement, kinds+1
		}
	}
	return last.Agreement > max(t.Curve[0].Agreement, exit/float64(max(1, kinds)))
}

// The descent: positions of a step, the rate that it works up to and the steps that this takes,
// the share of all positions over which the rate falls to zero at the end, and the most
// positions that see one another.
const (
	trainBatch  = 1024
	trainRate   = 3e-4
	trainWarmup = 20
	trainDecay  = 0.25
	trainWindow = 256
)

// ownShare of what is learned from, after the first round, is what the draft itself wrote, with
// the whole model's word on every position of it.
const ownShare = 0.2

// Of the tokens whose probabilities a step looks at, the most frequent and some of the others,
// which must not become likely either.
const otherTokens = 1024

// A training has so many rounds, each of so many tokens at least; the curve is measured on so many
// tokens of each kind of text.
const (
	trainRounds = 10
	leastRound  = 4000
	heldTokens  = 800
)

// leastGain is the agreement that doubling the text has to bring.
const leastGain = 0.01

// Train makes a draft model for the bundle in dir out of the model's own blocks below the last
// exit: it lowers their divergence from the whole model by gradient descent, beginning with the
// exit's fitted head. Until it returns nil the bundle is as it was, and it stays so where
// nothing was gained. A training that was interrupted goes on where it was. Errors are one line
// with a hint, and wrap what those of Run do, or train.ErrArchitecture.
func Train(ctx context.Context, dir string, opt TrainOptions) (*Trained, error) {
	opt = opt.withDefaults()
	release, err := disk.Lock(dir)
	if err != nil {
		return nil, err
	}
	t, err := openTraining(ctx, dir, opt)
	if err == nil {
		err = t.run.train(ctx, t)
		t.close()
	}
	release()
	if err != nil {
		return nil, err
	}
	if t.result.Gained() {
		measured, err := Run(ctx, dir, Options{Texts: opt.Texts, Tokens: opt.Tokens, Seed: opt.Seed, Threads: opt.Threads, Fetch: opt.Fetch, Cache: opt.Cache,
			Keep: opt.Keep, DraftOnly: true, Progress: opt.Progress, Note: opt.Note, tune: opt.measured, report: opt.measured, prompts: opt.prompts})
		if err != nil {
			return nil, fmt.Errorf("the draft is in the bundle, and not measured: %w", err)
		}
		t.result.Draft = measured.Draft
	}
	if !opt.Keep {
		t.run.opt.Keep = false
		t.run.discard()
		os.Remove(t.path)
	}
	return &t.result, nil
}

func (o TrainOptions) withDefaults() TrainOptions {
	if o.Tokens == 0 {
		o.Tokens = DefaultTrainTokens
	}
	if o.Passes == 0 {
		o.Passes = 2
	}
	if o.Threads == 0 {
		o.Threads = runtime.GOMAXPROCS(0)
	}
	if o.round == 0 {
		o.round = max(o.Tokens/trainRounds, leastRound)
	}
	if o.tune == 0 {
		o.tune = heldTokens
	}
	if o.prompts == 0 {
		o.prompts = slots
	}
	if o.Progress == nil {
		o.Progress = func(string, int64, int64) {}
	}
	if o.Note == nil {
		o.Note = func(string, ...any) {}
	}
	return o
}

// training is one draft in the making.
type training struct {
	*run
	opt    TrainOptions
	file   *gguf.File
	model  train.Model
	net    *train.Net
	norm   norm
	lm     []float32 // all of the LM head
	path   string    // of the state
	result Trained

	streams []stream
	held    []source // what the curve is measured on
	heldDoc map[string][]*document
	all     []lesson // of the rounds before
	counts  []int    // of the tokens that were read
	tokens  int      // that were read
	round   int
	asked   int // prompts that the draft answered
}

// stream is text of one kind that is learned from, part by part.
type stream struct {
	parts []part
	share float64
	given int // tokens
}

// lesson is a part of a document whose positions see one another.
type lesson struct {
	d           *document
	first, rows int
	from        int // the first row that is learned
}

func openTraining(ctx context.Context, dir string, opt TrainOptions) (_ *training, err error) {
	o := Options{Texts: opt.Texts, Tokens: opt.Tokens, Seed: opt.Seed, Threads: opt.Threads, Fetch: opt.Fetch, Cache: opt.Cache, Keep: true,
		Progress: opt.Progress, Note: opt.Note, tune: opt.tune, report: opt.tune, prompts: opt.prompts}.withDefaults()
	fits, _, err := o.userTexts()
	if err != nil {
		return nil, err
	}
	b, _, err := openBundle(ctx, dir, false)
	if err != nil {
		return nil, err
	}
	if b.Manifest.Draft != nil && !opt.Replace {
		return nil, fmt.Errorf("%s has a draft model, %s: give --replace to have the trained one in its place", dir, b.Manifest.Draft.Name)
	}
	to := b.Manifest.Exits[len(b.Manifest.Exits)-1]
	if opt.From == 0 {
		opt.From = to / 2
	}
	if opt.From < 1 || opt.From >= to {
		return nil, fmt.Errorf("block %d cannot be the first that is trained: the draft has the blocks from 0 to %d", opt.From, to)
	}
	head, err := b.FittedHead(ctx, to)
	if err != nil {
		return nil, err
	}
	if head == nil {
		return nil, fmt.Errorf("the exit after block %d has no fitted head to begin with: fit it first with skerry model calibrate %s", to, dir)
	}
	t := &training{opt: opt, counts: make([]int, b.Manifest.Vocab), heldDoc: map[string][]*document{}}
	t.result.Exit = b.Manifest.Heads[len(b.Manifest.Heads)-1]
	t.run = &run{opt: o, b: b, kernels: engine.Init("").Variant, depths: []int{opt.From}, step: "read, write and learn"}
	if t.cache, err = o.cacheDir(); err != nil {
		return nil, err
	}
	sweepCache(t.cache, time.Now())
	if len(fits) == 0 {
		if fits, _, err = t.packagedTexts(ctx, []text{{}}); err != nil {
			return nil, err
		}
	}
	t.sources(fits)
	if t.norm, err = readNorm(b); err != nil {
		return nil, err
	}
	if t.file, err = gguf.Open(b.Path(bundle.Unsplit)); err != nil {
		return nil, err
	}
	t.model = train.Model{File: t.file, From: opt.From, To: to, Convert: func(dst, src gguf.Type, cols int, data []byte) ([]byte, error) {
		return engine.Requantize(int32(dst), int32(src), cols, data)
	}}
	if t.net, err = t.model.Net(head.Translator, head.Bias, opt.Threads); err == nil {
		t.lm, err = t.model.LM()
	}
	if err == nil {
		t.m, err = openModel(b, t.depths, opt.Threads)
	}
	if err != nil {
		t.file.Close()
		return nil, err
	}
	t.m.whole = true
	t.path = t.statePath()
	return t, nil
}

func (t *training) close() {
	t.m.close()
	t.file.Close()
}

// sources are the streams that are learned from, and what the curve is measured on.
func (t *training) sources(fits []text) {
	own := 1.0
	if len(fits) > 0 {
		own = 0.5
	}
	t.streams = []stream{{parts: t.run.opt.answerParts(fitForms, fitTopics, true), share: own}}
	few := t.run.opt
	few.prompts = min(few.prompts, slots/2)
	t.held = []source{{kindChat, ownAnswers, "tune", few.answerParts(tuneForms, tuneTopics, false), few.tune, 0}}
	for _, f := range fits {
		docs, held := aside(f.docs, t.opt.Seed)
		t.streams = append(t.streams, stream{parts: readParts(docs, t.opt.Seed), share: (1 - own) / float64(len(fits))})
		t.held = append(t.held, source{f.kind, f.source, "tune", reportParts(held, t.opt.Seed), t.run.opt.tune, 0})
	}
}

// statePath is where the state of a training is kept: under a name that says all that it follows
// from.
func (t *training) statePath() string {
	h := sha256.New()
	json.NewEncoder(h).Encode([]any{recipe, t.opt.Tokens, t.opt.Passes, t.opt.From, t.opt.round, t.run.opt.tune})
	for _, s := range t.streams {
		json.NewEncoder(h).Encode(s.parts)
	}
	name := t.partPath(part{Texts: []string{hex.EncodeToString(h.Sum(nil))}})
	return name[:len(name)-len(statesFile)] + trainingFile
}

// trainingFile ends the name of the state of a training.
const trainingFile = ".training"

// train does rounds of reading and learning until the text is at its end or helps no longer,
// lets the rate fall, and puts the draft into the bundle where something was gained.
func (r *run) train(ctx context.Context, t *training) error {
	learned := float64(t.opt.Tokens * t.opt.Passes)
	r.total = t.opt.Tokens + int(learned/(1-trainDecay))
	for _, s := range t.held {
		if _, err := r.consume(ctx, s, func(_ context.Context, d *document) error {
			t.heldDoc[s.kind] = append(t.heldDoc[s.kind], d)
			return nil
		}); err != nil {
			return err
		}
	}
	r.done = 0
	rounds, err := t.resume()
	if err != nil {
		return err
	}
	if rounds == 0 {
		if err := t.measure(ctx, 0); err != nil {
			return err
		}
	}
	for t.tokens < t.opt.Tokens {
		fresh, err := t.gather(ctx, t.opt.round)
		if err != nil {
			return err
		}
		if len(fresh) == 0 {
			t.opt.Note("there is no more text: trained on %d tokens", t.tokens)
			break
		}
		lessons := append(fresh, t.remembered(fresh)...)
		t.all = append(t.all, fresh...)
		if t.round++; t.round <= rounds { // learned before it was interrupted
			for _, l := range lessons {
				r.progress(l.rows - l.from)
			}
		} else if err := t.teach(ctx, lessons); err != nil {
			return err
		}
		if t.result.Flat = t.round >= rounds && flat(t.result.Curve); t.result.Flat {
			t.opt.Note("more text no longer helps: twice as much brings less than %g of agreement", leastGain)
			break
		}
	}
	var last []lesson
	want := int(trainDecay * float64(t.tokens*t.opt.Passes))
	for rows := 0; rows < want; {
		for _, i := range t.rand(1).Perm(len(t.all)) {
			if l := t.all[i]; rows < want {
				last, rows = append(last, l), rows+l.rows-l.from
			}
		}
	}
	loss, err := t.learn(ctx, last, func(done float64) float64 { return 1 - done })
	if err != nil {
		return err
	}
	if err := t.measure(ctx, loss); err != nil {
		return err
	}
	if !t.result.Gained() {
		return nil
	}
	name := fmt.Sprintf("%s-first-%d", r.b.Manifest.Name, t.model.To)
	return split.SetDraft(ctx, r.b, name, func(w io.Writer) error { return t.write(ctx, w) })
}

// teach is a round's descent, which goes on from there if it is interrupted.
func (t *training) teach(ctx context.Context, lessons []lesson) error {
	loss, err := t.learn(ctx, lessons, func(float64) float64 { return 1 })
	if err == nil {
		err = t.measure(ctx, loss)
	}
	if err != nil {
		return err
	}
	if err := t.save(); err != nil {
		t.noteUnsaved(err)
	}
	return nil
}

func (t *training) rand(stream uint64) *rand.Rand {
	return rand.New(rand.NewPCG(t.opt.Seed, uint64(t.round)<<8|stream))
}

// write writes the draft as it is now.
func (t *training) write(ctx context.Context, w io.Writer) error {
	l, err := t.model.Plan(t.net)
	if err != nil {
		return err
	}
	return l.Write(ctx, w)
}

// gather reads and writes about so many tokens of new text.
func (t *training) gather(ctx context.Context, tokens int) (fresh []lesson, err error) {
	left := min(tokens, t.opt.Tokens-t.tokens)
	take := func(docs []*document) (n int) {
		for _, d := range docs {
			for _, id := range d.tokens[d.from:] {
				t.counts[id]++
			}
			n += d.rows()
			for first := 0; first < len(d.tokens); first += trainWindow {
				l := lesson{d: d, first: first, rows: min(trainWindow, len(d.tokens)-first), from: max(0, d.from-first)}
				if l.from < l.rows {
					fresh = append(fresh, l)
				}
			}
		}
		t.tokens += n
		return n
	}
	before := t.tokens
	if t.round > 0 {
		docs, err := t.ownText(ctx, int(ownShare*float64(left)))
		if err != nil {
			return nil, err
		}
		take(docs)
	}
	for t.tokens-before < left {
		var next *stream // that has given the least of its share
		for i := range t.streams {
			if s := &t.streams[i]; len(s.parts) > 0 && (next == nil || float64(s.given)/s.share < float64(next.given)/next.share) {
				next = s
			}
		}
		if next == nil {
			break
		}
		docs, err := t.run.gather(ctx, next.parts[0])
		if err != nil {
			return nil, err
		}
		next.parts, next.given = next.parts[1:], next.given+take(docs)
	}
	return fresh, ctx.Err()
}

// ownText has the draft, as it is, answer prompts, and the whole model read its answers.
func (t *training) ownText(ctx context.Context, tokens int) (docs []*document, err error) {
	asks := prompts(fitForms, fitTopics, t.opt.Seed+1)
	wanted := max(1, tokens/(answer/2)) // answers
	at := t.asked % len(asks)
	asks = asks[at:min(len(asks), at+wanted)]
	t.asked += wanted
	path := fmt.Sprintf("%s-own-%d%s", t.path[:len(t.path)-len(trainingFile)], t.round, statesFile)
	t.parts = append(t.parts, path)
	if docs, err := loadDocuments(path, t.width()); err == nil {
		for _, d := range docs {
			t.progress(d.rows())
		}
		return docs, nil
	}
	written, err := t.writeOwn(ctx, asks)
	if err != nil {
		return nil, err
	}
	for _, w := range written {
		d, err := t.m.read(ctx, w.tokens, false, func(int) {})
		if err != nil {
			return nil, err
		}
		d.from, d.lead = w.from, w.from
		docs = append(docs, d)
		t.progress(d.rows())
	}
	if err := saveDocuments(path, docs, t.width()); err != nil {
		t.noteUnsaved(err)
	}
	return docs, nil
}

// writeOwn has the draft answer prompts.
func (t *training) writeOwn(ctx context.Context, asks []string) ([]*document, error) {
	if err := os.MkdirAll(t.cache, 0o755); err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(t.cache, unfinished)
	if err != nil {
		return nil, err
	}
	defer os.Remove(f.Name())
	w := bufio.NewWriterSize(f, 1<<20)
	err = errors.Join(t.write(ctx, w), w.Flush(), f.Close())
	if err != nil {
		return nil, err
	}
	s, err := engine.OpenStage(f.Name(), engine.Options{Context: Positions, Sequences: slots, Rows: 64, Threads: t.opt.Threads, NoFlashAttention: true})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	own := &model{stage: s, vocab: t.m.vocab, d: t.m.d, bare: true, template: t.m.template}
	return own.write(ctx, asks, true, t.opt.Seed+uint64(t.round)<<32, func(int) {})
}

// remembered are lessons of the rounds before, as many as make up for new ones what is learned
// more than once.
func (t *training) remembered(fresh []lesson) (out []lesson) {
	if len(t.all) == 0 {
		return nil
	}
	r := t.rand(3)
	for range len(fresh) * (t.opt.Passes - 1) {
		out = append(out, t.all[r.IntN(len(t.all))])
	}
	return out
}

// sequence is a lesson as the net takes it.
func (t *training) sequence(l lesson) train.Sequence {
	d := t.m.d
	s := train.Sequence{Position: l.first, In: make([]float32, l.rows*d), Targets: make([]float32, (l.rows-l.from)*d), From: l.from}
	last := make([]float32, d)
	for i := range l.rows {
		row := l.first + i - l.d.from
		l.d.stream(row, 0, 1, s.In[i*d:(i+1)*d])
		if at := i - l.from; at >= 0 {
			l.d.stream(row, 1, 1, last)
			t.norm.apply(last, s.Targets[at*d:(at+1)*d])
		}
	}
	return s
}

// learn descends along lessons in seeded order; rate says which part of the full rate is taken
// after which part of them. It returns the mean divergence.
func (t *training) learn(ctx context.Context, lessons []lesson, rate func(done float64) float64) (loss float64, err error) {
	lm := t.shortlist()
	r := t.rand(4)
	r.Shuffle(len(lessons), func(i, j int) { lessons[i], lessons[j] = lessons[j], lessons[i] })
	rows := 0
	for i, l := range lessons {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		loss += t.net.Learn(t.sequence(l), lm)
		rows += l.rows - l.from
		t.progress(l.rows - l.from)
		if t.net.Pending() >= trainBatch || i == len(lessons)-1 {
			warm := min(1, float64(t.net.Steps()+1)/trainWarmup)
			t.net.Step(trainRate * warm * rate(float64(i)/float64(len(lessons))))
		}
	}
	return loss / float64(max(1, rows)), nil
}

// shortlist are the rows of the LM head that the steps of a round look at.
func (t *training) shortlist() []float32 {
	ranked := rank(t.counts)
	n := min(stepTokens, len(ranked))
	list := append(ranked[:n:n], t.ends()...)
	if rest := ranked[n:]; len(rest) > 0 {
		r := t.rand(5)
		for range otherTokens {
			list = append(list, rest[r.IntN(len(rest))])
		}
	}
	slices.Sort(list)
	list = slices.Compact(list)
	d := t.m.d
	out := make([]float32, 0, len(list)*d)
	for _, id := range list {
		out = append(out, t.lm[int(id)*d:(int(id)+1)*d]...)
	}
	return out
}

// measure adds a point to the curve.
func (t *training) measure(ctx context.Context, loss float64) error {
	p := TrainPoint{Tokens: t.tokens, Loss: loss, ByKind: map[string]float64{}}
	said, right := 0, 0
	for kind, docs := range t.heldDoc {
		n, same := 0, 0
		for _, d := range docs {
			if err := ctx.Err(); err != nil {
				return err
			}
			for first := 0; first < len(d.tokens); first += trainWindow {
				l := lesson{d: d, first: first, rows: min(trainWindow, len(d.tokens)-first), from: max(0, d.from-first)}
				if l.from >= l.rows {
					continue
				}
				z := t.net.Outputs(l.first, t.sequence(l).In)[l.from*t.m.d:]
				for i, id := range train.Best(z, t.lm, t.m.d, t.opt.Threads) {
					if n++; id == d.greedy[l.first+l.from+i-d.from] {
						same++
					}
				}
			}
		}
		p.ByKind[kind] = ratio(same, n)
		said, right = said+n, right+same
	}
	p.Agreement = ratio(right, said)
	t.result.Curve = append(t.result.Curve, p)
	t.opt.Note("%s", p.Text())
	return nil
}

// Text is a point of the curve, on one line.
func (p TrainPoint) Text() string {
	s := fmt.Sprintf("trained on %d tokens: agreement %.3f", p.Tokens, p.Agreement)
	for i, kind := range slices.Sorted(maps.Keys(p.ByKind)) {
		s += fmt.Sprintf("%s%s %.3f", []string{" (", ", "}[min(i, 1)], kind, p.ByKind[kind])
	}
	if len(p.ByKind) > 0 {
		s += ")"
	}
	if p.Loss > 0 {
		s += fmt.Sprintf(", divergence %.3f", p.Loss)
	}
	return s
}

// flat says that the last doubling of the text brought too little; the first rounds, in which
// little text was read, do not count.
func flat(curve []TrainPoint) bool {
	last := curve[len(curve)-1]
	for _, p := range slices.Backward(curve[:len(curve)-1]) {
		if p.Tokens > 0 && 2*p.Tokens <= last.Tokens {
			return len(curve) > 5 && last.Agreement < p.Agreement+leastGain
		}
	}
	return false
}

// trainHeader begins the file of a training's state.
type trainHeader struct {
	Round int
	Curve []TrainPoint
}

// save keeps how far the training has come.
func (t *training) save() error {
	if err := os.MkdirAll(t.cache, 0o755); err != nil {
		return err
	}
	return disk.PlaceFile(t.cache, filepath.Base(t.path), func(f *os.File) error {
		w := bufio.NewWriterSize(f, 1<<20)
		if err := json.NewEncoder(w).Encode(trainHeader{t.round, t.result.Curve}); err != nil {
			return err
		}
		return errors.Join(t.net.WriteState(w), w.Flush())
	})
}

// resume takes up a training that was interrupted, and returns how many rounds it did.
func (t *training) resume() (rounds int, err error) {
	f, err := os.Open(t.path)
	if err != nil {
		return 0, nil // it begins
	}
	defer f.Close()
	r := bufio.NewReaderSize(f, 1<<20)
	line, err := r.ReadBytes('\n')
	var h trainHeader
	if err == nil {
		err = json.Unmarshal(line, &h)
	}
	if err == nil && h.Round > 0 && len(h.Curve) == h.Round+1 {
		err = t.net.ReadState(r)
	}
	if err != nil {
		os.Remove(t.path)
		return 0, fmt.Errorf("the training that was interrupted cannot go on, and is forgotten: %w: start it again", err)
	}
	t.result.Curve = h.Curve
	t.opt.Note("the training goes on after round %d: %s", h.Round, h.Curve[h.Round].Text())
	return h.Round, nil
}

// Write prints the curve, and the draft beside the exit that it began as; or all as JSON.
func (t *Trained) Write(to io.Writer, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(to).Encode(t)
	}
	for _, p := range t.Curve {
		fmt.Fprintln(to, p.Text())
	}
	if t.Draft == nil {
		_, err := fmt.Fprintln(to, "nothing was gained: the bundle stays as it was; more text may help, from --text FILE or by --tokens")
		return err
	}
	for _, m := range t.Draft.Measured {
		fmt.Fprintf(to, "%s: the draft agrees with the whole model on %.3f of tokens", m.Kind, m.Agreement)
		if e, ok := t.Exit.ByKind[m.Kind]; ok {
			fmt.Fprintf(to, ", exit %d on %.3f", t.Exit.Exit, e.Agreement)
		}
		for i, c := range m.PerCheck {
			fmt.Fprintf(to, "%s%.2f", []string{"; tokens a check of drafts of 2, 4 and 8: ", ", "}[min(i, 1)], c.Tokens)
		}
		fmt.Fprintln(to)
	}
	if f := t.Draft.FreeText; f != nil {
		fmt.Fprintln(to, "the draft:", f.Text())
	}
	if f := t.Exit.FreeText; f != nil {
		fmt.Fprintf(to, "exit %d: %s\n", t.Exit.Exit, f.Text())
	}
	_, err := fmt.Fprintf(to, "the draft costs %.3g of a pass of the whole model; it is the bundle's draft model now\n", t.Draft.Cost)
	return err
}
