package strategies

import (
	"fmt"
	"math"
	"strings"
)

// Judged is how well predictions and auto, which goes by them, did in all rows of a report.
type Judged struct {
	Predicted int `json:"predicted_rows"`
	Within    int `json:"within_15_percent"`
	// Worst is the row whose prediction is off by most, nil where nothing is predicted; Auto that
	// in which auto took the most over the fastest of those that say the same text.
	Worst *Row `json:"worst,omitempty"`
	Auto  *Row `json:"worst_of_auto,omitempty"`
}

// within is by how much of a total a prediction may be off.
const within = 0.15

// judge looks at all rows but for auto's own predictions, which another row has too.
func judge(rows []Row) (j Judged) {
	for i, r := range rows {
		if r.Chosen != "" {
			if j.Auto == nil || r.OverBest > j.Auto.OverBest {
				j.Auto = &rows[i]
			}
			continue
		}
		if !(r.Predicted > 0) {
			continue
		}
		j.Predicted++
		if math.Abs(r.Off()) <= within {
			j.Within++
		}
		if j.Worst == nil || math.Abs(r.Off()) > math.Abs(j.Worst.Off()) {
			j.Worst = &rows[i]
		}
	}
	return j
}

// String is a line each, or nothing.
func (j Judged) String() string {
	var b strings.Builder
	if r := j.Worst; r != nil {
		fmt.Fprintf(&b, "Predicted: %d of %d totals within 15 %%. Furthest off is %s at %s: %.2f s for %.2f (%+.0f %%), with a time to first token of %.3f s for %.3f, %.2f s of the cloud for %.2f, and %.2f asks a token for %.2f.\n",
			j.Within, j.Predicted, r.Name, r.place(), r.Predicted, r.Total, 100*r.Off(), r.PredictedFirst, r.First, r.PredictedCloud, r.Cloud, r.PredictedAsks, r.Asks)
	}
	if r := j.Auto; r != nil {
		fmt.Fprintf(&b, "Auto took at most %.2f of the fastest of what says the same text: as %s at %s.\n", r.OverBest, r.Chosen, r.place())
	}
	return b.String()
}

// place is where a row was measured.
func (r Row) place() string {
	s := fmt.Sprintf("RTT %.2f T", r.RTTOverT)
	if r.Slow > 1 {
		s += fmt.Sprintf(" on an edge %gx slower", r.Slow)
	}
	return s
}
