package strategies

import (
	"skerry/appliance/bench"
	"skerry/appliance/bench/strategies/sim"
	"skerry/appliance/decode"
	"skerry/appliance/infer"
	"skerry/appliance/predict"
)

// defaultThreshold is what the token loop takes for an exit without one.
const defaultThreshold = decode.DefaultThreshold

// kinds are the modes as the simulation knows them.
var kinds = map[infer.Mode]sim.Kind{
	decode.CloudOnly: sim.CloudOnly, decode.Naive: sim.Naive, decode.Standalone: sim.Standalone,
	decode.Paper: sim.Split, decode.Collaborative: sim.Split, decode.Verified: sim.Verified,
}

// strategy is a variant as the simulation plays it, with thresholds of its own and, where
// draft is set, with a draft model.
func (v Variant) strategy(own []float64, draft bool) sim.Strategy {
	kind := kinds[v.Mode]
	if v.CloudDrafts {
		kind = sim.CloudDraft
	}
	s := sim.Strategy{
		Kind: kind, T1: unreached, T2: unreached, Eager: v.Eager, Blocking: v.Mode == decode.Paper,
		ValueBytes: v.Encoding.Bytes(), Drafts: draft && v.drafts() && !v.streams(), IDs: v.tokenIDs() && !v.streams(),
	}
	if ts := v.thresholds(own); len(ts) > 0 {
		s.T1, s.T2 = ts[0], ts[len(ts)-1]
	}
	return s
}

// replay plays each variant's own recorded tokens.
func (b *Bench) replay(s sim.Setting, l Link, recorded map[string][]sim.Answer) ([]Row, error) {
	spec := l.At(s.T)
	s.RTT, s.Rate = spec.RTT.Seconds(), spec.Rate
	f := b.facts()
	f.cloud, f.slow, f.draft, f.width, f.split = Pass{T: s.T, Last: predict.EvenBatch(s.M)}, s.Slow, s.Draft, s.Width, s.Exit1
	f.of(recorded[b.Variants[0].Name])
	if b.Edge.Draft == nil { // the exits draft: the second after the first
		f.draft = s.Exit2 + s.Head
	}
	var rows []Row
	var base sim.Result
	for i, v := range b.Variants {
		as := v
		if v.Auto {
			var err error
			if as, err = b.chosen(f, l); err != nil {
				return nil, err
			}
		}
		x := s.Play(as.strategy(b.thresholds(as), b.Edge.Draft != nil), recorded[as.Name])
		if i == 0 {
			base = x
		}
		r := b.row(as, spec, s.T)
		r.names(v, as)
		r.Slow = s.Slow
		r.predict(f, as, b.thresholds(as))
		r.Simulated = true
		n := float64(max(1, x.Tokens))
		r.Total, r.Edge, r.Cloud, r.Comm, r.First = x.Total, x.Edge, x.Cloud, x.Comm, bench.Median(x.First)
		r.OverCloudOnly, r.TimeSaved = x.Total/base.Total, 1-x.Cloud/base.Cloud
		r.PositionsSaved = 1 - float64(x.Positions)/float64(base.Positions)
		r.Asks, r.BytesUp, r.Agreement, r.Tokens = float64(x.Asks)/n, x.Bytes/n, float64(x.Agree)/n, x.Tokens
		rows = append(rows, r)
	}
	overBest(rows, b.Variants)
	return rows, nil
}
