package predict

// Prediction of one mode. Times are in seconds; where Not is set it has none.
type Prediction struct {
	Mode  string  `json:"mode"`
	Not   string  `json:"not,omitempty"`         // why the mode cannot be had
	First float64 `json:"first_token_s"`         // to the first token
	Token float64 `json:"token_s"`               // for each further one
	Asks  float64 `json:"asks_per_token"`        // that the board waits for
	Bytes float64 `json:"bytes_up_per_token"`    // of the answer, the prompt's aside
	Cloud float64 `json:"cloud_s_per_token"`     // that the cloud computes
	Read  float64 `json:"cloud_s_first_token"`   // that it computes for the first
	Draft int     `json:"draft,omitempty"`       // the best length, in the modes that draft
	Match int     `json:"lookup,omitempty"`      // the best length of what a match is followed by
	Right float64 `json:"agreement"`             // share of tokens that the whole model would say
	Exact bool    `json:"exact"`                 // the text is the whole model's
	Needs int64   `json:"board_bytes,omitempty"` // memory on the board
}

// Total is the time of an answer of n tokens.
func (p Prediction) Total(n int) float64 { return p.First + p.Token*float64(max(n-1, 0)) }

// Drafts reports whether something is drafted in the mode.
func (p Prediction) Drafts() bool { return p.Mode != Unsplit && p.Mode != CloudOnly }

// The modes that are predicted.
const (
	Unsplit       = "unsplit"
	UnsplitDraft  = "unsplit+draft"
	Standalone    = "standalone"
	Collaborative = "collaborative"
	CloudOnly     = "cloud-only"
	CloudLed      = "cloud-led" // cloud-only with a draft, in the cloud
	Verified      = "verified"
)

// methods are the modes in the order in which they are told.
var methods = []struct {
	mode    string
	not     func(Case) string
	predict func(Case) Prediction
}{
	{Unsplit, Case.notWhole, Case.unsplit},
	{UnsplitDraft, func(c Case) string { return first(c.notWhole(), c.notDrafted()) }, Case.unsplitDraft},
	{Standalone, Case.notAlone, Case.standalone},
	{Collaborative, func(c Case) string { return first(c.notAsked(), c.notProposed(), c.notStages()) }, Case.collaborative},
	{Verified, func(c Case) string { return first(c.notAsked(), c.notDrafted(), c.notStages()) }, Case.verified},
	{CloudOnly, Case.notText, Case.cloudOnly},
	{CloudLed, func(c Case) string { return first(c.notText(), c.notDrafted()) }, Case.cloudLed},
}

// Modes are the names of those that are predicted.
func Modes() (names []string) {
	for _, m := range methods {
		names = append(names, m.mode)
	}
	return names
}

// All predicts every mode, those that cannot be had included. The error wraps ErrCase.
func All(c Case) ([]Prediction, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	c.Board.Batch, c.Cloud.Batch = c.Board.Batch.sorted(), c.Cloud.Batch.sorted()
	c.Board.Check, c.Cloud.Check = c.Board.Check.sorted(), c.Cloud.Check.sorted()
	var out []Prediction
	for _, m := range methods {
		p := Prediction{Not: m.not(c)}
		if p.Not == "" {
			p = m.predict(c)
		}
		if p.Asks > 0 {
			_, _, share := c.ways()
			p.Read = c.Cloud.batch(float64(max(c.Prompt, 1)), share)
		}
		p.Mode = m.mode
		out = append(out, p)
	}
	return out, nil
}

func first(reasons ...string) string {
	for _, r := range reasons {
		if r != "" {
			return r
		}
	}
	return ""
}

func (c Case) notWhole() string {
	if c.Board.Memory > 0 && c.WholeBytes > c.Board.Memory {
		return "the whole model has no room on the board"
	}
	return ""
}

func (c Case) notStages() string {
	if c.Board.Memory > 0 && c.BoardBytes > c.Board.Memory {
		return "the board's part of the model has no room there"
	}
	return ""
}

func (c Case) notProposed() string {
	if c.Draft == nil {
		return NothingProposes
	}
	return ""
}

// NothingProposes is why modes that draft cannot be had without a draft.
const NothingProposes = "nothing on the board proposes tokens"

// notDrafted: lookup alone drafts too.
func (c Case) notDrafted() string {
	if c.Draft == nil && c.Lookup.Share == 0 {
		return c.notProposed()
	}
	return ""
}

func (c Case) notAlone() string {
	if c.Draft != nil && c.Draft.Unfit != "" {
		return c.Draft.Unfit
	}
	return first(c.notProposed(), c.notStages())
}

func (c Case) notAsked() string {
	switch {
	case c.Cloud.Pass == 0:
		return "there is no cloud"
	case c.May == Nothing:
		return "the cloud may see nothing"
	case c.May == Hidden && c.Split == 0:
		return "the model is not split, and the cloud may not see text"
	}
	return ""
}

func (c Case) notText() string {
	if why := c.notAsked(); why != "" {
		return why
	}
	if c.May != Text {
		return "the cloud may not see text"
	}
	return ""
}

func (c Case) unsplit() Prediction {
	return Prediction{First: c.Board.batch(float64(c.Prompt), 1), Token: c.Board.Pass, Right: 1, Exact: true, Needs: c.WholeBytes}
}

func (c Case) unsplitDraft() Prediction {
	p := c.unsplit()
	d := c.Draft
	if d == nil {
		d = &Draft{}
	}
	p.Token, p.Draft, p.Match = drafted(c.Board, *d, d.Cost, c.Lookup)
	return p
}

func (c Case) standalone() Prediction {
	p := Prediction{First: c.Board.batch(float64(c.Prompt), c.Draft.Cost), Token: c.Draft.Cost * c.Board.Pass, Right: c.Draft.Acceptance, Needs: c.BoardBytes}
	p.Exact = p.Right == 1
	return p
}

// ways are what goes up for a position, the share of its pass that the board computes for
// that, and the cloud's share.
func (c Case) ways() (bytes, board, cloud float64) {
	if c.May == Text {
		return idBytes, 0, 1
	}
	if board = c.Split; c.Draft != nil && c.Draft.Stages {
		board = 0 // with the draft
	}
	return c.RowBytes, board, 1 - c.Split
}

// idBytes is a token id on the wire.
const idBytes = 4

// promptAsked is the time to the cloud's first token.
func (c Case) promptAsked() float64 {
	bytes, _, cloud := c.ways()
	stage := 0.0
	if c.May == Hidden {
		stage = c.Board.batch(float64(c.Prompt), c.Split)
	}
	return stage + c.Link.RoundTrip() + c.Link.upload(bytes*float64(max(c.Prompt, 1))) + c.Cloud.batch(float64(max(c.Prompt, 1)), cloud)
}

func (c Case) collaborative() Prediction {
	bytes, stage, cloud := c.ways()
	believed := c.Draft.from(c.Threshold)
	ask := 1 - believed.Share
	p := Prediction{Asks: ask, Bytes: bytes, Right: ask + believed.Share*believed.Right, Needs: c.BoardBytes}
	draft := c.Board.batch(float64(c.Prompt), c.Draft.Cost)
	p.First = believed.Share*draft + ask*max(draft, c.promptAsked())
	if !c.Draft.Stages { // the first is asked for in any case, while the draft reads the prompt
		p.First = max(draft, c.promptAsked())
	}
	p.Token = c.Draft.Cost * c.Board.Pass
	if ask > 0 {
		p.Token += ask * stage * c.Board.Pass * c.Board.Batch.after(believed.Share) // the stage lags behind the draft, and catches up for an ask
		p.Cloud = ask * c.Cloud.Pass * cloud * c.Cloud.Batch.after(believed.Share)
		p.Token += ask*(c.Link.RoundTrip()+c.Link.upload(bytes)) + p.Cloud
	}
	p.Token = max(p.Token, c.Link.upload(p.Bytes))
	p.Exact = p.Right == 1
	return p
}

// verified has the board draft before each check and, while that is under way, on behind it.
func (c Case) verified() Prediction {
	bytes, stage, cloud := c.ways()
	d := Draft{}
	if c.Draft != nil {
		d = *c.Draft
	}
	away := func(rows int) float64 { // from the last row that the board has computed to the answer
		return c.Link.upload(bytes*float64(rows)) + c.Link.RoundTrip() + c.Cloud.check(float64(rows), cloud)
	}
	s := schedule{
		token: d.Cost * c.Board.Pass, right: d.Acceptance, lookup: c.Lookup,
		check: func(rows int) float64 { return c.Board.batch(float64(rows), stage) + away(rows) },
		ahead: away,
	}
	token := s.perToken()
	rows, cloudTime := s.perCheck(func(rows int) float64 { return float64(rows) }), s.perCheck(func(rows int) float64 { return c.Cloud.check(float64(rows), cloud) })
	p := Prediction{Token: token, Draft: s.draft, Match: s.match, Asks: 1 / s.said, Bytes: bytes * rows / s.said, Cloud: cloudTime / s.said, Right: 1, Exact: true, Needs: c.BoardBytes}
	p.Token = max(p.Token, c.Link.upload(p.Bytes))
	p.First = c.promptAsked()
	return p
}

func (c Case) cloudOnly() Prediction {
	return Prediction{First: c.promptAsked(), Token: c.Cloud.Pass, Asks: 1 / float64(c.Answer), Cloud: c.Cloud.Pass, Right: 1, Exact: true}
}

func (c Case) cloudLed() Prediction {
	p := c.cloudOnly()
	d := Draft{}
	if c.Draft != nil {
		d = *c.Draft
	}
	cost := d.CloudCost
	if cost == 0 {
		cost = d.Cost
	}
	p.Token, p.Draft, p.Match = drafted(c.Cloud, d, cost, c.Lookup)
	p.Cloud = p.Token
	return p
}

// drafted is the time of a token where one machine drafts, or takes what follows a match, and then
// checks all of it in one batch; and how many it drafts and takes.
func drafted(m Machine, d Draft, cost float64, l Lookup) (token float64, draft, match int) {
	s := schedule{token: cost * m.Pass, right: d.Acceptance, lookup: l, check: func(rows int) float64 { return m.check(float64(rows), 1) }}
	token = s.perToken()
	return token, s.draft, s.match
}
