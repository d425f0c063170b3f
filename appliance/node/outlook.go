package node

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/plan"
	"skerry/appliance/decode"
	"skerry/appliance/infer"
	"skerry/appliance/predict"
	"skerry/appliance/server"
	"skerry/appliance/status"
	"skerry/cloudlink/monitor"
	"skerry/cloudlink/wire"
)

// outlook is what mode auto chooses by: it predicts what an answer would take in each mode,
// from what the link and the answers so far have shown, and what the bundle says of its
// drafts. Its methods may be called concurrently.
type outlook struct {
	now func() time.Time

	mu      sync.Mutex // guards all following
	model   *plan.Model
	modes   []infer.Mode               // that the loaded model can be decoded in
	ids     bool                       // token ids go up in place of hidden states
	whole   bool                       // the whole model is on the board
	exits   bool                       // exits speak, and no draft model in their place
	bound   float64                    // share of tokens that may be other than the whole model's, 0: none was set
	drafted float64                    // seconds of a token that the board has said, 0: not known
	checked func() (share, of float64) // of drafts that were accepted, and of how many; nil: not known
	took    float64                    // seconds of one that the whole model has said here, 0: not known
	said    wholeAnswers
	chooser predict.Chooser
	last    *status.Outlook
	best    string    // the mode that is chosen, unsplit for the whole model on the board
	judged  time.Time // when it was last found out
}

// loadedModel is a model that was loaded, as far as a mode is chosen by it.
type loadedModel struct {
	dir      string // of the bundle
	manifest *bundle.Manifest
	modes    []infer.Mode               // that it can be decoded in
	ids      bool                       // token ids go up in place of hidden states
	whole    bool                       // the whole model is on the board too
	exits    bool                       // exits speak, and no draft model in their place
	checked  func() (share, of float64) // of drafts that were accepted, and of how many; nil: not known
	// thresholds is set where the user has said from which confidence the board is believed,
	// and so that its tokens may be others than the whole model's.
	thresholds bool
}

// outlooks are those of the models, by the ids of their bundles.
type outlooks struct {
	now func() time.Time
	mu  sync.Mutex // guards of
	of  map[string]*outlook
}

// get returns the outlook of a model, which predicts nothing before it was loaded.
func (o *outlooks) get(bundle string) *outlook {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.of == nil {
		o.of = map[string]*outlook{}
	}
	if o.of[bundle] == nil {
		o.of[bundle] = &outlook{now: o.now}
	}
	return o.of[bundle]
}

func (o *outlooks) load(l loadedModel) { o.get(BundleID(l.manifest)).load(l) }

// Answers of the usual length are predicted.
const (
	usualPrompt = 256
	usualAnswer = 128
)

// ofDrafts is the weight of a new token in the mean time of a drafted one.
const ofDrafts = 0.05

// load takes in a model that was loaded; without its tables nothing is predicted.
func (o *outlook) load(l loadedModel) {
	m, _ := plan.ReadModel(l.dir) // an error has nothing be predicted
	o.mu.Lock()
	defer o.mu.Unlock()
	o.model, o.modes, o.ids, o.bound, o.drafted, o.took, o.last = m, l.modes, l.ids, boundOf(l.manifest), 0, 0, nil
	o.whole = l.whole && slices.Contains(l.modes, decode.Verified)
	o.exits, o.checked = l.exits, l.checked
	if l.thresholds {
		o.bound = 1
	}
	o.chooser, o.best, o.judged = predict.Chooser{}, "", time.Time{}
}

// boundOf is the disagreement that was allowed when the bundle was calibrated.
func boundOf(man *bundle.Manifest) float64 {
	switch {
	case man.Draft != nil && man.Draft.Bound != nil:
		return man.Draft.Bound.Most
	case man.Draft == nil && man.Calibration != nil && man.Calibration.Bound != nil:
		return man.Calibration.Bound.Most
	}
	return 0
}

// observe learns how long the board takes for a token. In verified drafted tokens come by the
// check, which says nothing of that, and the whole model's first token after the cloud's waits
// until it has caught up with the conversation.
func (o *outlook) observe(t server.TokenSeen) {
	o.mu.Lock()
	defer o.mu.Unlock()
	caughtUp := o.said.last(t.Answer, t.Source == infer.FromUnsplit)
	if t.First || t.Took <= 0 {
		return
	}
	switch {
	case t.Source == infer.FromUnsplit && caughtUp:
		learn(&o.took, t.Took)
	case t.Source == infer.FromUnsplit:
	case t.Mode == decode.Collaborative && t.Source == infer.FromCloud && o.exits && t.Took > t.Wait: // the exits were asked before it
		learn(&o.drafted, t.Took-t.Wait)
	case t.Mode != decode.Verified && t.Mode != decode.CloudLed && slices.Contains([]infer.Source{infer.Exit1, infer.Exit2, infer.FromDraft}, t.Source):
		learn(&o.drafted, t.Took)
	}
}

// learn takes one more time into a mean, 0 where there was none.
func learn(mean *float64, took time.Duration) {
	if *mean == 0 {
		*mean = took.Seconds()
	}
	*mean += ofDrafts * (took.Seconds() - *mean)
}

// linkNow is what the link is like.
type linkNow struct {
	monitor.Estimates
	Gone     string // why the cloud cannot be asked, "" while it can
	NoLead   bool   // it is too old to go on by itself
	Encoding string
}

// look predicts and chooses anew. It returns nil while too little is known.
func (o *outlook) look(l linkNow, spared bool) *status.Outlook {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.last, o.best, o.judged = nil, "", o.now()
	if o.model == nil || o.drafted == 0 || l.Gone == "" && (l.RowCost <= 0 || l.SmoothedRTT <= 0) {
		return nil
	}
	limits := predict.Limits{Wrong: o.bound, Spared: spared}
	modes, _, err := o.model.Predict(o.known(l), predict.Lookup{}, limits, o.accepted())
	if err != nil {
		return nil
	}
	var all []predict.Prediction
	for i := range modes {
		p := &modes[i].Prediction
		if p.Mode == predict.Unsplit && p.Not == "" && o.took > 0 {
			p.Token = o.took
		}
		if why := o.notServed(p.Mode, l); why != "" && (p.Not == "" || p.Mode != string(decode.CloudLed)) {
			p.Not = why
		}
		all = append(all, *p)
	}
	c := o.chooser.Choose(o.now(), all, usualAnswer, limits)
	o.best = c.Best
	o.last = &status.Outlook{Mode: c.Best, Second: c.Second, Why: c.Why, Prompt: usualPrompt, Answer: usualAnswer}
	for _, m := range modes {
		o.last.Modes = append(o.last.Modes, status.ModeOutlook{
			Mode: m.Mode, Not: m.Not, FirstMS: 1000 * m.First, TokenMS: 1000 * m.Token, Asks: m.Asks, Bytes: m.Bytes, CloudMS: 1000 * m.Cloud,
			Agreement: m.Right, Draft: m.With, Length: m.Draft,
		})
	}
	return o.last
}

// known is the case as it was measured. The cloud's queue lengthens the way.
func (o *outlook) known(l linkNow) predict.Case {
	m, batch := o.model, plan.UsualBatch()
	c := predict.Case{
		Board: predict.Machine{Pass: m.PassOf(o.drafted, batch), Batch: batch}, May: predict.Hidden, Split: m.Split,
		RowBytes: bytesOfRow(l.Encoding, m.Embedding), Prompt: usualPrompt, Answer: usualAnswer,
	}
	if l.Gone != "" {
		return c
	}
	c.Cloud.Pass = l.RowCost.Seconds()
	if o.ids {
		c.May = predict.Text
	} else {
		c.Cloud.Pass /= max(1-m.Split, .01) // which computes the rest of the model
	}
	c.Cloud.Batch = predict.EvenBatch(max(l.FurtherRow.Seconds()/l.RowCost.Seconds(), 0))
	c.Link = predict.Link{RTT: (l.SmoothedRTT + l.Queue).Seconds(), Deviation: l.RTTDeviation.Seconds(), Rate: l.Goodput, Loss: l.Loss}
	return c
}

// enoughChecked is how many drafted tokens have to have been checked before what became of them is
// gone by.
const enoughChecked = 32

// accepted is how often drafts were found right in the answers so far, with what was calibrated as
// a prior; nothing while too few were checked.
func (o *outlook) accepted() (f plan.DraftFacts) {
	if o.checked == nil {
		return f
	}
	if share, of := o.checked(); of >= enoughChecked {
		f.Acceptance, f.OfModel = share, !o.exits
	}
	return f
}

// bytesOfRow are those of a hidden state on the wire.
func bytesOfRow(encoding string, width int) float64 {
	if e, ok := wire.EncodingNamed(encoding); ok {
		return e.BytesPerValue() * float64(width)
	}
	return 4 * float64(width)
}

// notServed says why a mode is not chosen though it may be predicted. Of a board that asks a
// cloud standalone is none to choose: while the cloud cannot be asked the other modes say what
// stands in for it, and go back to it in mid-answer.
func (o *outlook) notServed(mode string, l linkNow) string {
	switch m := infer.Mode(mode); {
	case m == decode.Unsplit && o.whole:
		return ""
	case !slices.Contains(o.modes, m):
		return "it is not loaded in mode auto"
	case m == decode.Standalone && slices.ContainsFunc(o.modes, decode.NeedsCloud):
		return "what stands in for a lost cloud does so in the other modes"
	case m == decode.CloudLed && l.NoLead && l.Gone == "":
		return "the cloud is too old to go on by itself: update it"
	case decode.NeedsCloud(m):
		return l.Gone
	}
	return ""
}

// choose is the mode of the next answer of a model, "" while nothing is known.
func (n *Node) choose(bundle string, _ []infer.Mode) infer.Mode {
	s := n.predicted(bundle)
	switch {
	case s == nil:
		return ""
	case s.Mode == string(decode.Unsplit): // which is how verified goes on where the board leads
		return decode.Verified
	}
	return infer.Mode(s.Mode)
}

// boardLeads says whether the whole model on this board is predicted to be the fastest of what
// says the same text, and cloudLeads whether a cloud that goes on by itself is. An answer asks them
// before every token or check, so that it changes over in its middle.
func (n *Node) boardLeads(bundle string) bool { return n.leads(bundle, predict.Unsplit) }
func (n *Node) cloudLeads(bundle string) bool { return n.leads(bundle, predict.CloudLed) }

// leads says whether a mode is the one that is predicted to be the fastest, and finds it out anew
// where that is long ago.
func (n *Node) leads(bundle, mode string) bool {
	o := n.outlooks.get(bundle)
	leads, old := o.is(mode)
	if old {
		n.predicted(bundle)
		leads, _ = o.is(mode)
	}
	return leads
}

// judgedFor is how long it is not found out anew which mode is the fastest while an answer is
// under way.
const judgedFor = time.Second

// is says whether a mode was found to be the fastest, and whether that is long ago.
func (o *outlook) is(mode string) (leads, old bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	can := o.whole
	if mode != predict.Unsplit {
		can = slices.Contains(o.modes, infer.Mode(mode))
	}
	return o.best == mode, can && o.now().Sub(o.judged) >= judgedFor
}

// predicted is the outlook of now on a model, nil in other modes than auto and without a cloud.
func (n *Node) predicted(bundle string) *status.Outlook {
	if n.link == nil || n.config().Mode != autoMode {
		return nil
	}
	l := linkNow{Estimates: n.link.Estimates(), Encoding: cmp.Or(n.link.set.Encoding, "f32"), NoLead: n.link.noLead.Load()}
	if st, why := n.link.State(); st == monitor.Down {
		l.Gone = "the link is down: " + why
	} else if b := n.link.Status().Budget; b.Bytes > 0 && b.Spent >= b.Bytes {
		l.Gone = "the month's bytes are spent"
	}
	return n.outlooks.get(bundle).look(l, n.thermal.now().Spared)
}
