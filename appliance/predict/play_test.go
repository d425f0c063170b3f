package predict

import (
	"math/rand/v2"
	"testing"
)

// Over some ten thousand checks drawn at random a token of verified takes as long as where board and
// cloud are played: the board drafts, waits for the check, and meanwhile drafts on as if all of it were
// right.
func TestVerifiedAsPlayed(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 14))
	for _, g := range []float64{.3, .718, .913} {
		for _, rtt := range []float64{0, .0502, .2003} {
			for _, cost := range []float64{.1, .36} {
				c := usual()
				c.Draft.Cost, c.Draft.Acceptance, c.Link.RTT = cost, g, rtt
				p := of(t, c, Verified)
				token, now, cloud, said, checks, ready := cost*c.Board.Pass, 0., 0., 0, 0, 0
				for ; checks < 40000; checks++ {
					now += float64(max(p.Draft-ready, 0)) * token
					pass := c.Cloud.Pass * (1 + .05*float64(p.Draft))
					ahead := 0
					for p.Draft > 0 && ahead <= 7 && float64(ahead+1)*token <= rtt+pass {
						ahead++
					}
					now, cloud, ready = now+rtt+pass, cloud+pass, 0
					right := 0
					for right < p.Draft && rng.Float64() < g {
						right++
					}
					if said += right + 1; right == p.Draft && ahead > 0 && rng.Float64() < g {
						ready = ahead - 1
					}
				}
				n := float64(said)
				for what, v := range map[string][2]float64{"time": {now / n, p.Token}, "cloud's time": {cloud / n, p.Cloud}, "asks": {float64(checks) / n, p.Asks}} {
					if !near(v[1], v[0], .02) {
						t.Errorf("g %g, RTT %g, draft of %g, %d of them: %s a token %.5f, played %.5f", g, rtt, cost, p.Draft, what, v[1], v[0])
					}
				}
			}
		}
	}
}

func TestCollaborativeAsPlayed(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 4))
	const tokens = 300000
	for _, m := range []float64{.05, .6} {
		for _, believed := range []float64{.2, .8, .97} {
			c := usual()
			c.Cloud.Batch, c.Draft.Believed, c.Link.RTT = Batch{{2, m}, {8, m / 2}}, []Believed{{.75, believed, 1}}, .02
			now, cloud, asks, waiting := 0.0, 0.0, 0, 0
			for range tokens {
				now += c.Draft.Cost * c.Board.Pass
				waiting++
				if rng.Float64() < believed {
					continue
				}
				pass := c.Cloud.Pass * c.Cloud.Batch.passes(float64(waiting))
				now, cloud, asks, waiting = now+c.Link.RTT+pass, cloud+pass, asks+1, 0
			}
			p := of(t, c, Collaborative)
			if !near(p.Token, now/tokens, .03) || !near(p.Cloud, cloud/tokens, .03) || !near(p.Asks, float64(asks)/tokens, .03) {
				t.Errorf("m %g, believed %g: %+v, played %g s a token, %g of the cloud's, %g asks", m, believed, p, now/tokens, cloud/tokens, float64(asks)/tokens)
			}
		}
	}
}

func TestSpeculationAsPlayed(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 1))
	for _, l := range []Lookup{{}, {.4, .7}} {
		m, d := Machine{Pass: .03, Batch: Batch{{2, .3}, {8, .2}}}, Draft{Cost: .2, Acceptance: .8}
		want, draft, match := drafted(m, d, d.Cost, l)
		now, said := 0.0, 0
		for said < 200000 {
			k, g, cost := draft, d.Acceptance, d.Cost
			if match > 0 && rng.Float64() < l.Share {
				k, g, cost = match, l.Acceptance, 0
			}
			now += m.Pass * (float64(k)*cost + m.Batch.passes(float64(k+1)))
			for said++; k > 0 && rng.Float64() < g; k-- {
				said++
			}
		}
		if !near(want, now/float64(said), .02) {
			t.Errorf("%+v: %g s a token with drafts of %d and %d, played %g", l, want, draft, match, now/float64(said))
		}
	}
}
