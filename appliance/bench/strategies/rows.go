package strategies

import (
	"math"

	"skerry/appliance/bench"
	"skerry/appliance/infer"
	"skerry/cloudlink/linksim"
)

// Row is what a variant took for all prompts on a link: medians of rounds, or with
// Simulated what it would take. Times are in seconds.
type Row struct {
	Name      string   `json:"name"`
	Mode      string   `json:"mode"`
	Eager     bool     `json:"eager"`
	Encoding  Encoding `json:"encoding"`
	Simulated bool     `json:"simulated"`
	// Draft is set where a draft model speaks in place of the exits.
	Draft bool `json:"draft"`
	// Threshold and Threshold2 are of exit 1 and exit 2, or both the draft model's, null
	// where nobody on the board is asked; above 1 is never reached.
	Threshold  *float64 `json:"threshold"`
	Threshold2 *float64 `json:"threshold2"`
	Link       string   `json:"link"`
	RTTOverT   float64  `json:"rtt_over_T"`

	Total float64 `json:"total_s"`
	Edge  float64 `json:"edge_s"`  // the edge computes
	Cloud float64 `json:"cloud_s"` // the cloud computes, asks that were dropped included
	// Comm is the rest of the edge's waiting for answers. Where the two compute at
	// once the parts are more than the whole.
	Comm          float64 `json:"comm_s"`
	OverCloudOnly float64 `json:"total_over_cloud_only"`
	// TimeSaved and PositionsSaved are shares of what cloud-only has the cloud
	// compute. A position counts whole, though the split spares its first blocks.
	TimeSaved      float64 `json:"cloud_time_saved"`
	PositionsSaved float64 `json:"cloud_positions_saved"`
	Asks           float64 `json:"asks_per_token"` // of cloud-only one is a whole answer
	BytesUp        float64 `json:"bytes_up_per_token"`
	First          float64 `json:"ttft_s"` // time to first token, median of prompts
	Agreement      float64 `json:"agreement"`
	Tokens         int     `json:"tokens"` // in a round
	Slow           float64 `json:"edge_slowdown"`
	// Predicted is what package predict makes of Total from T, m, the link and what was recorded
	// of the drafts, in seconds; 0 where it predicts nothing.
	Predicted float64 `json:"predicted_s,omitempty"`
	// PredictedFirst, PredictedCloud and PredictedAsks are the same of First, Cloud and Asks.
	PredictedFirst float64 `json:"predicted_ttft_s,omitempty"`
	PredictedCloud float64 `json:"predicted_cloud_s,omitempty"`
	PredictedAsks  float64 `json:"predicted_asks_per_token,omitempty"`
	// Chosen is the variant that auto was, and OverBest its total over the least of those that
	// it chose among.
	Chosen   string  `json:"chosen,omitempty"`
	OverBest float64 `json:"total_over_best,omitempty"`

	// Clients of a simulated row that one cloud serves.
	Clients []Clients `json:"clients,omitempty"`

	spec linksim.Spec
}

// names says which variant a row is of, and for auto which one it was.
func (r *Row) names(v, as Variant) {
	if r.Name = v.Name; v.Auto {
		r.Mode, r.Chosen = string(infer.Auto), as.Name
	}
}

// predict fills in what is predicted of the variant.
func (r *Row) predict(f facts, v Variant, own []float64) {
	if p, ok := f.predicted(v, r.spec, own); ok {
		r.Predicted, r.PredictedFirst, r.PredictedAsks = f.total(p), p.First, p.Asks
		r.PredictedCloud = float64(f.prompts) * (p.Read + p.Cloud*float64(f.answer-1))
	}
}

// Off is how far the prediction is from what was measured or simulated, as a share of that.
func (r Row) Off() float64 { return r.Predicted/r.Total - 1 }

// overBest compares auto with the variants it chose among, of one link and slowdown.
func overBest(rows []Row, variants []Variant) {
	best := math.Inf(1)
	for i, v := range variants {
		if v.exact() {
			best = min(best, rows[i].Total)
		}
	}
	for i, v := range variants {
		if v.Auto {
			rows[i].OverBest = rows[i].Total / best
		}
	}
}

// row fills in what is known of a row before anything is measured.
func (b *Bench) row(v Variant, l linksim.Spec, t float64) Row {
	r := Row{Name: v.Name, Mode: string(v.Mode), Eager: v.Eager, Encoding: v.Encoding, Link: l.String(), RTTOverT: l.RTT.Seconds() / t, spec: l}
	if ts := v.thresholds(b.thresholds(v)); len(ts) > 0 {
		r.Threshold, r.Threshold2 = &ts[0], &ts[len(ts)-1]
	}
	r.Draft = r.Threshold != nil && b.Edge.Draft != nil && v.drafts()
	return r
}

// measured fills in the medians of a variant's turns; base are cloud-only's of the
// same rounds.
func (r *Row) measured(x, base []*turn) {
	mid := func(f func(*turn) float64) float64 { return bench.Median(figures(x, f)) }
	r.Total = mid(func(t *turn) float64 { return t.total })
	r.Edge = mid(func(t *turn) float64 { return t.edge })
	r.Cloud = mid(func(t *turn) float64 { return t.cloud.Seconds })
	r.Comm = mid(func(t *turn) float64 { return t.comm })
	r.Asks = mid(func(t *turn) float64 { return float64(t.asks) / float64(t.tokens) })
	r.BytesUp = mid(func(t *turn) float64 { return float64(t.bytes) / float64(t.tokens) })
	r.First = mid(func(t *turn) float64 { return bench.Median(t.first) })
	r.Tokens = x[0].tokens
	ratio := func(f func(*turn) float64) float64 {
		return bench.Median(bench.Ratios(figures(x, f), figures(base, f)))
	}
	r.OverCloudOnly = ratio(func(t *turn) float64 { return t.total })
	r.TimeSaved = 1 - ratio(func(t *turn) float64 { return t.cloud.Seconds })
	r.PositionsSaved = 1 - ratio(func(t *turn) float64 { return float64(t.cloud.Positions) })
}
