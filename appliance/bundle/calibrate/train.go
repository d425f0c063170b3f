package calibrate

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"time"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/disk"
	"skerry/appliance/bundle/gguf"
	"skerry/appliance/bundle/split"
	"skerry/appliance/bundle/train"
	"skerry/appliance/engine"
)

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
	all     []*document // that were learned from, in the rounds before
	counts  []int       // of the tokens that were read
	tokens  int         // that were read
	round   int
	asked   int // prompts that the draft answered
}

// stream is text of one kind that is learned from, part by part.
type stream struct {
	parts []part
	share float64
	given int // tokens
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
	t.run = &run{opt: o, b: b, kernels: engine.Init("").Variant, depths: []int{opt.From}}
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

// train does rounds of reading and learning until the text is at its end or helps no longer, and
// puts the draft into the bundle where something was gained.
func (r *run) train(ctx context.Context, t *training) error {
	r.begin("read what is measured on", t.held, 1)
	for _, s := range t.held {
		if _, err := r.consume(ctx, s, func(_ context.Context, d *document) error {
			t.heldDoc[s.kind] = append(t.heldDoc[s.kind], d)
			return nil
		}); err != nil {
			return err
		}
	}
	r.begin("read, write and learn", nil, 1)
	r.total = t.opt.Tokens * (1 + t.opt.Passes)
	r.until = r.total
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
		docs := append(fresh, t.remembered(fresh)...)
		t.all = append(t.all, fresh...)
		if t.round++; t.round <= rounds { // learned before it was interrupted
			for _, d := range docs {
				r.progress(d.rows())
			}
		} else if err := t.teach(ctx, docs); err != nil {
			return err
		}
		if t.result.Flat = t.round >= rounds && flat(t.result.Curve); t.result.Flat {
			t.opt.Note("more text no longer helps: twice as much brings less than %g of agreement", leastGain)
			break
		}
	}
	if !t.result.Gained() {
		return nil
	}
	name := fmt.Sprintf("%s-first-%d", r.b.Manifest.Name, t.model.To)
	return split.SetDraft(ctx, r.b, name, func(w io.Writer) error { return t.write(ctx, w) })
}

// teach is a round's descent, which goes on from there if it is interrupted.
func (t *training) teach(ctx context.Context, docs []*document) error {
	loss, err := t.learn(ctx, docs)
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
	if err == nil {
		t.net.Averaged(func() { err = l.Write(ctx, w) })
	}
	return err
}

// learn descends along documents in seeded order, and returns the mean divergence.
func (t *training) learn(ctx context.Context, docs []*document) (loss float64, err error) {
	lm := t.shortlist()
	r := t.rand(4)
	r.Shuffle(len(docs), func(i, j int) { docs[i], docs[j] = docs[j], docs[i] })
	rows := 0
	for i, d := range docs {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		loss += t.net.Learn(t.sequence(d), lm)
		rows += d.rows()
		t.progress(d.rows())
		if t.net.Pending() >= trainBatch || i == len(docs)-1 {
			warm := min(1, float64(t.net.Steps()+1)/trainWarmup)
			t.net.Step(trainRate * warm)
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

// measure adds a point to the curve: what the draft would be if the training ended here.
func (t *training) measure(ctx context.Context, loss float64) (err error) {
	t.net.Averaged(func() { err = t.point(ctx, loss) })
	return err
}

func (t *training) point(ctx context.Context, loss float64) error {
	p := TrainPoint{Tokens: t.tokens, Loss: loss, ByKind: map[string]float64{}}
	said, right := 0, 0
	for kind, docs := range t.heldDoc {
		n, same := 0, 0
		for _, d := range docs {
			if err := ctx.Err(); err != nil {
				return err
			}
			z := t.net.Outputs(0, t.sequence(d).In)[d.from*t.m.d:]
			for i, id := range train.Best(z, t.lm, t.m.d, t.opt.Threads) {
				if n++; id == d.greedy[i] {
					same++
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
