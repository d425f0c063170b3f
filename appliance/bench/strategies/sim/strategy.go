package sim

// Kind is how tokens are decided.
type Kind string

// The kinds.
const (
	CloudOnly Kind = "cloud-only" // the whole model in the cloud
	// CloudDraft is the same with a draft in the cloud, whose tokens the whole model checks.
	CloudDraft Kind = "cloud-only+draft"
	Naive      Kind = "naive"      // every token the cloud's, the whole prefix sent each time
	Standalone Kind = "standalone" // the exits alone
	Split      Kind = "split"      // the exits, and the cloud where they are unsure
	Verified   Kind = "verified"   // a draft model, and the cloud checks all that it drafts
)

// Strategy is one way of answering.
type Strategy struct {
	Kind Kind
	// T1 and T2 are the confidences from which exit 1 and exit 2 are believed;
	// an exit above 1 is not computed.
	T1, T2 float64
	// Eager asks before exit 2 is computed.
	Eager bool
	// Blocking leaves the mid stage idle while the edge waits.
	Blocking bool
	// ValueBytes of a hidden state on the wire.
	ValueBytes float64
	// IDs has token ids go up in place of hidden states: the cloud computes the whole model.
	// It takes Drafts.
	IDs bool
	// Drafts has a draft model speak in place of the exits, from a confidence of T2 on.
	Drafts bool
}

// Token is a recorded token: how sure each exit was, and whether it, or the cloud,
// says what the unsplit model says.
type Token struct {
	C1      float64 `json:"exit1"`
	C2      float64 `json:"exit2"`
	Equal1  bool    `json:"exit1_equal"`
	Equal2  bool    `json:"exit2_equal"`
	EqualUp bool    `json:"cloud_equal"`
	// CDraft is how sure the draft model was, 0 where there is none.
	CDraft     float64 `json:"draft,omitempty"`
	EqualDraft bool    `json:"draft_equal,omitempty"`
	// Match is how certain prompt lookup was of this token, 1 the least, 0 without a match, and
	// MatchRight how many of the tokens from this one on it would have had right in one run.
	Match      int `json:"match,omitempty"`
	MatchRight int `json:"match_right,omitempty"`
}

// Answer is a prompt of so many positions and the tokens said after it.
type Answer struct {
	Prompt int     `json:"prompt"`
	Tokens []Token `json:"tokens"`
}

// Result sums up what answers cost, one after the other. Times are in seconds.
type Result struct {
	Total float64
	Edge  float64 // the edge computes
	Cloud float64 // the cloud computes
	// Comm is the rest of the edge's waiting: neither machine computes for it.
	Comm      float64
	First     []float64 // of each answer, to the first token
	Tokens    int
	Agree     int // tokens that the unsplit model says too
	Asks      int
	Positions int     // computed by the cloud
	Bytes     float64 // up
}

// Play answers one after the other.
func (s Setting) Play(st Strategy, answers []Answer) Result {
	return s.each(st, answers, s.way(st, answers))
}

// way is how the strategy's answers are played.
func (s Setting) way(st Strategy, answers []Answer) func(*play, Answer) {
	switch {
	case st.Kind == Verified:
		return s.bestDraft(st, answers, (*play).checks)
	case st.Kind == CloudDraft:
		return s.bestDraft(st, answers, (*play).cloudDrafts)
	case st.Kind == CloudOnly:
		return (*play).cloudOnly
	case st.Kind == Naive:
		return (*play).naive
	case st.Drafts:
		return (*play).drafts
	}
	return (*play).split
}

// each plays answers in one way.
func (s Setting) each(st Strategy, answers []Answer, way func(*play, Answer)) (sum Result) {
	for _, a := range answers {
		if len(a.Tokens) == 0 {
			continue
		}
		p := newPlay(s, st)
		way(p, a)
		p.Total = p.now
		sum.add(p.Result)
	}
	return sum
}

func (r *Result) add(o Result) {
	r.Total += o.Total
	r.Edge += o.Edge
	r.Cloud += o.Cloud
	r.Comm += o.Comm
	r.First = append(r.First, o.First...)
	r.Tokens += o.Tokens
	r.Agree += o.Agree
	r.Asks += o.Asks
	r.Positions += o.Positions
	r.Bytes += o.Bytes
}
