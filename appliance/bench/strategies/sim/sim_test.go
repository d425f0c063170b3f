package sim

import (
	"errors"
	"math"
	"testing"

	"pgregory.net/rapid"

	_ "skerry/build/testseed" // of rapid
)

// unsure tokens are confident at no exit below 1.
func unsure(prompt, n int) []Answer {
	a := Answer{Prompt: prompt}
	for range n {
		a.Tokens = append(a.Tokens, Token{C1: 0.5, C2: 0.6, EqualUp: true})
	}
	return []Answer{a}
}

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 1e-9*math.Max(1, math.Abs(want)) {
		t.Errorf("%s is %.9f, want %.9f", what, got, want)
	}
}

var never = Strategy{Kind: Split, T1: 1.1, T2: 1.1, ValueBytes: 4}

func TestCloudOnlyIsOneRoundTrip(t *testing.T) {
	s := Paper()
	s.Rate = 0
	r := s.Play(Strategy{Kind: CloudOnly}, unsure(1, 100))
	near(t, "total", r.Total, s.RTT+100*s.T)
	near(t, "cloud", r.Cloud, 100*s.T)
	near(t, "communication", r.Comm, s.RTT)
	near(t, "first token", r.First[0], s.RTT+s.T)
	r = s.Play(Strategy{Kind: CloudOnly}, unsure(50, 100))
	near(t, "total after a prompt", r.Total, s.RTT+s.T*(1+49*s.M)+99*s.T)
	if r.Positions != 149 || r.Agree != 100 {
		t.Errorf("%d positions, %d agree", r.Positions, r.Agree)
	}
}

// With a threshold nobody reaches every token is a round trip, and the two
// machines share the pass.
func TestUnreachableThreshold(t *testing.T) {
	s := Paper()
	s.Rate, s.Slow = 0, 3
	r := s.Play(never, unsure(1, 100))
	near(t, "total", r.Total, 100*(s.RTT+s.T*(1-s.Exit1)+3*s.T*s.Exit1))
	near(t, "cloud", r.Cloud, 100*s.T*(1-s.Exit1))
	if r.Asks != 100 || r.Positions != 100 {
		t.Errorf("%d asks, %d positions", r.Asks, r.Positions)
	}
	// A slow link adds the time of a row.
	s.Rate = 1e6
	slow := s.Play(never, unsure(1, 100))
	near(t, "total on a slow link", slow.Total, r.Total+100*4096*4*8/1e6)
}

func TestThresholdOfZeroNeverAsks(t *testing.T) {
	s := Paper()
	r := s.Play(Strategy{Kind: Split, ValueBytes: 4}, unsure(1, 100))
	near(t, "total", r.Total, 100*s.T*(s.Exit1+s.Head))
	near(t, "edge", r.Edge, r.Total)
	if r.Asks != 0 || r.Cloud != 0 || r.Comm != 0 {
		t.Errorf("%+v", r)
	}
}

// The prefix goes up again for each token: its bytes grow with the square of the
// answer, and on a slow link little else counts.
func TestNaiveIsItsBytes(t *testing.T) {
	s := Paper()
	const n = 200
	r := s.Play(Strategy{Kind: Naive, ValueBytes: 4}, unsure(1, n))
	bytes := float64(n*(n+1)/2) * 4096 * 4
	near(t, "bytes", r.Bytes, bytes)
	near(t, "total", r.Total, bytes*8/s.Rate+n*(s.RTT+s.T))
	near(t, "cloud", r.Cloud, n*s.T*(1-s.Exit1))
	near(t, "communication", r.Comm, bytes*8/s.Rate+n*s.RTT)
}

// Every position goes up once, whatever the exits say.
func TestSplitSendsEachPositionOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, a := settings(t), answers(t)
		st := Strategy{Kind: Split, T1: rapid.Float64Range(0, 1.2).Draw(t, "t1"), T2: rapid.Float64Range(0, 1.2).Draw(t, "t2"),
			Eager: rapid.Bool().Draw(t, "eager"), Blocking: rapid.Bool().Draw(t, "blocking"), ValueBytes: 2}
		r, want := s.Play(st, a), 0.0
		for _, x := range a {
			want += float64(x.Prompt+len(x.Tokens)-1) * float64(s.Width) * 2
		}
		if math.Abs(r.Bytes-want) > 1e-6 {
			t.Fatalf("%g bytes, want %g", r.Bytes, want)
		}
	})
}

// An ask that leaves early costs asks, and brings forward the answer by what
// exit 2 takes.
func TestEager(t *testing.T) {
	s := Paper()
	s.Rate = 0
	lazy := s.Play(Strategy{Kind: Split, T1: 0.9, T2: 0.9}, unsure(1, 50))
	eager := s.Play(Strategy{Kind: Split, T1: 0.9, T2: 0.9, Eager: true}, unsure(1, 50))
	near(t, "saved", lazy.Total-eager.Total, 50*s.T*(s.Exit2-s.Exit1+s.Head))
	sure := unsure(1, 50)
	for i := range sure[0].Tokens {
		sure[0].Tokens[i].C2 = 0.95
	}
	lazy = s.Play(Strategy{Kind: Split, T1: 0.9, T2: 0.9}, sure)
	eager = s.Play(Strategy{Kind: Split, T1: 0.9, T2: 0.9, Eager: true}, sure)
	if lazy.Asks != 0 || eager.Asks != 50 || eager.Cloud == 0 {
		t.Errorf("%d and %d asks", lazy.Asks, eager.Asks)
	}
	near(t, "exit 2 speaks at the same time", eager.Total, lazy.Total)
}

// A board that catches up while it waits has less to do when exit 2 is needed.
func TestIdleCatchUp(t *testing.T) {
	s := Paper()
	a := unsure(1, 40)
	for i := range a[0].Tokens { // exit 1 speaks, but for every tenth, where exit 2 does
		if a[0].Tokens[i].C1 = 0.95; i%10 == 9 {
			a[0].Tokens[i].C1, a[0].Tokens[i].C2 = 0.1, 0.95
		}
	}
	st := Strategy{Kind: Split, T1: 0.9, T2: 0.9, ValueBytes: 2}
	r := s.Play(st, a)
	near(t, "edge", r.Edge, 40*s.T*(s.Exit1+s.Head)+4*(s.pass(s.T, 10, s.Exit2-s.Exit1)+s.T*s.Head))
}

func TestStandaloneNeedsNoLink(t *testing.T) {
	s := Paper()
	s.RTT, s.Rate = 10, 1
	r := s.Play(Strategy{Kind: Standalone, T1: 0.9, T2: 0.9}, unsure(1, 10))
	near(t, "total", r.Total, 10*s.T*(s.Exit2+2*s.Head))
	if r.Asks != 0 || r.Bytes != 0 || r.Agree != 0 {
		t.Errorf("%+v", r)
	}
}

func settings(t *rapid.T) Setting {
	s := Paper()
	s.T = rapid.Float64Range(0.001, 0.2).Draw(t, "T")
	s.M = rapid.Float64Range(0, 1).Draw(t, "m")
	s.Slow = rapid.Float64Range(0.1, 30).Draw(t, "slow")
	s.RTT = rapid.Float64Range(0, 1).Draw(t, "rtt")
	s.Rate = rapid.Float64Range(1e5, 1e9).Draw(t, "rate")
	s.Width = rapid.IntRange(1, 8192).Draw(t, "width")
	return s
}

func answers(t *rapid.T) []Answer {
	token := rapid.Custom(func(t *rapid.T) Token {
		return Token{C1: rapid.Float64Range(0, 1).Draw(t, "c1"), C2: rapid.Float64Range(0, 1).Draw(t, "c2"),
			Equal1: rapid.Bool().Draw(t, "e1"), Equal2: rapid.Bool().Draw(t, "e2"), EqualUp: true}
	})
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Answer {
		return Answer{Prompt: rapid.IntRange(1, 200).Draw(t, "prompt"), Tokens: rapid.SliceOfN(token, 1, 30).Draw(t, "tokens")}
	}), 1, 3).Draw(t, "answers")
}

var strategies = map[string]Strategy{
	"cloud-only": {Kind: CloudOnly}, "naive": {Kind: Naive, ValueBytes: 4}, "standalone": {Kind: Standalone, T1: 0.8, T2: 0.8},
	"paper":         {Kind: Split, T1: 0.8, T2: 0.8, Blocking: true, ValueBytes: 2},
	"blocking":      {Kind: Split, T1: 0.6, T2: 1.1, Blocking: true, ValueBytes: 4},
	"collaborative": {Kind: Split, T1: 0.8, T2: 0.8, ValueBytes: 4},
	"eager":         {Kind: Split, T1: 0.8, T2: 0.8, Eager: true, ValueBytes: 4},
}

// Nothing is faster for a longer round trip, a slower wire or a slower cloud.
func TestWorseIsNeverFaster(t *testing.T) {
	for name, st := range strategies {
		t.Run(name, rapid.MakeCheck(func(t *rapid.T) {
			s, a := settings(t), answers(t)
			more := s
			switch rapid.SampledFrom([]string{"rtt", "rate", "both"}).Draw(t, "what") {
			case "rtt":
				more.RTT += rapid.Float64Range(0, 1).Draw(t, "more")
			case "rate":
				more.Rate *= rapid.Float64Range(0.01, 1).Draw(t, "less")
			default:
				more.RTT, more.Rate = 2*s.RTT, s.Rate/2
			}
			// Catching up goes on to the end of a batch that was begun, and a longer
			// wait may hold one more: a batch is what may be lost and won by it.
			slack := 0.0
			if !st.Blocking && st.Kind == Split {
				slack = float64(len(a)) * 31 * s.pass(s.T*s.Slow, idleRows, s.Exit2-s.Exit1)
			}
			if x, y := s.Play(st, a), more.Play(st, a); y.Total < x.Total-slack-1e-9 {
				t.Fatalf("%g s, and with a worse link %g s", x.Total, y.Total)
			}
		}))
	}
}

// The parts are never more than the whole where nothing overlaps, and what the
// cloud says is the same in every strategy.
func TestPartsMakeTheWhole(t *testing.T) {
	for name, st := range strategies {
		t.Run(name, rapid.MakeCheck(func(t *rapid.T) {
			s, a := settings(t), answers(t)
			r := s.Play(st, a)
			n := 0
			for _, x := range a {
				n += len(x.Tokens)
			}
			if r.Tokens != n || len(r.First) != len(a) || r.Agree > n {
				t.Fatalf("%+v of %d tokens", r, n)
			}
			sum := r.Edge + r.Cloud + r.Comm
			if r.Total > sum+1e-9 {
				t.Fatalf("total %g is more than its parts %g", r.Total, sum)
			}
			if (st.Blocking || st.Kind == Naive || st.Kind == CloudOnly) && math.Abs(r.Total-sum) > 1e-9*sum {
				t.Fatalf("nothing overlaps, and the total is %g of %g", r.Total, sum)
			}
		}))
	}
}

func TestParse(t *testing.T) {
	s, err := Parse("T=20ms, m=0.2,slow=3,width=576,a=0.33,b=0.66,h=0.1,d=0.4", Paper())
	if err != nil {
		t.Fatal(err)
	}
	want := Setting{T: 0.02, M: 0.2, Slow: 3, RTT: 0.003, Rate: 30e6, Width: 576, Exit1: 0.33, Exit2: 0.66, Head: 0.1, Draft: 0.4}
	if s != want {
		t.Errorf("%+v", s)
	}
	for _, bad := range []string{"", "T", "T=35", "T=-1ms", "m=x", "m=2", "speed=3", "a=0.6", "b=1", "width=0", "slow=0", "m=NaN", "d=-1"} {
		if _, err := Parse(bad, Paper()); !errors.Is(err, ErrSetting) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// With the shares of confident tokens that the paper has, its own strategy comes
// out near its table: 319 s of 370 s, and a naive split several times slower.
func TestPapersOwnTable(t *testing.T) {
	s := Paper()
	a := unsure(60, 106) // 10580 passes of 35 ms are 370 s
	for i := range a[0].Tokens {
		switch { // 47.89 % at an exit: as many at either, here
		case i%4 == 0:
			a[0].Tokens[i].C1 = 0.9
		case i%4 == 1:
			a[0].Tokens[i].C2 = 0.9
		}
	}
	cloud := s.Play(strategies["cloud-only"], a)
	paper := s.Play(strategies["paper"], a)
	naive := s.Play(strategies["naive"], a)
	t.Logf("over cloud-only: paper %.2f (theirs 0.86), naive %.1f (theirs 9.1); cloud time saved %.2f (theirs 0.70)",
		paper.Total/cloud.Total, naive.Total/cloud.Total, 1-paper.Cloud/cloud.Cloud)
	if r := paper.Total / cloud.Total; r < 0.7 || r > 1.1 {
		t.Errorf("paper over cloud-only is %.2f", r)
	}
	if r := naive.Total / cloud.Total; r < 5 || r > 25 {
		t.Errorf("naive over cloud-only is %.2f", r)
	}
}

// drafted are tokens of which the draft model is sure and right but for each n-th.
func drafted(prompt, n, wrong int) []Answer {
	a := Answer{Prompt: prompt}
	for i := range n {
		t := Token{CDraft: 0.95, EqualDraft: true, EqualUp: true}
		if wrong > 0 && i%wrong == wrong-1 {
			t.CDraft, t.EqualDraft = 0.3, false
		}
		a.Tokens = append(a.Tokens, t)
	}
	return []Answer{a}
}

// Each token costs a pass of the draft; asks come where it is unsure, and find the tokens
// before them waiting.
func TestDraftSpeaksWhereItIsSure(t *testing.T) {
	s := Paper()
	s.Rate = 0
	st := Strategy{Kind: Split, T2: 0.9, IDs: true, Drafts: true}
	r := s.Play(st, drafted(1, 100, 4))
	const asks = 26 // the first token's and each fourth
	near(t, "total", r.Total, asks*s.RTT+100*s.Draft*s.T-min(s.Draft*s.T, s.RTT+s.T)+s.T*(asks+s.M*(100-asks)))
	if r.Asks != asks || r.Agree != 100 || r.Positions != 100 {
		t.Errorf("%+v", r)
	}
	st = Strategy{Kind: Split, T2: 0.9, Drafts: true, ValueBytes: 4}
	if r := s.Play(st, drafted(1, 100, 0)); r.Asks != 1 || math.Abs(r.Bytes-float64(4*s.Width*(1+8*12))) > 1e-6 {
		t.Errorf("%d asks, %g bytes: the head stage lags by up to eight rows", r.Asks, r.Bytes)
	}
	near(t, "standalone", s.Play(Strategy{Kind: Standalone, Drafts: true}, drafted(1, 100, 4)).Total, 100*s.Draft*s.T)
}

// A cloud that drafts for itself says as many tokens with a pass as are right, and is never slower
// than one that does not.
func TestCloudDraftsForItself(t *testing.T) {
	s := Paper()
	s.Rate, s.Draft = 0, .1
	st := Strategy{Kind: CloudDraft, Drafts: true}
	plain := s.Play(Strategy{Kind: CloudOnly}, drafted(1, 81, 0))
	r := s.Play(st, drafted(1, 81, 0)) // the first token, then ten checks of seven right drafts
	read := s.pass(s.T*s.Draft, 1, 1)
	near(t, "total", r.Total, s.RTT+s.T+read+10*(7*.1*s.T+s.pass(s.T, 8, 1)))
	if r.Asks != 1 || r.Tokens != 81 || r.Agree != 81 || r.Bytes != plain.Bytes {
		t.Errorf("%+v", r)
	}
	if r := s.Play(st, unsure(1, 81)); r.Total != plain.Total || r.Positions != plain.Positions {
		t.Errorf("drafts that are never right: %+v, without %+v", r, plain)
	}
	matched := unsure(1, 81)
	for i := range matched[0].Tokens {
		matched[0].Tokens[i].Match, matched[0].Tokens[i].MatchRight = Matches, 81-i
	}
	looked := s.Play(Strategy{Kind: CloudDraft}, matched)
	near(t, "total with prompt lookup", looked.Total, s.RTT+s.T+10*s.pass(s.T, 8, 1))
	if v := s.Play(Strategy{Kind: Verified, Drafts: true, IDs: true}, matched); v.Asks != 11 || v.Tokens != 81 {
		t.Errorf("verified with prompt lookup: %+v", v)
	}
}

// A draft that is always right is checked eight tokens at a time; one that is always wrong
// costs nothing, as nothing is drafted.
func TestVerifiedChecksWhatIsDrafted(t *testing.T) {
	s := Paper()
	s.Rate, s.Draft = 0, 0
	r := s.Play(Strategy{Kind: Verified, Drafts: true, IDs: true}, drafted(1, 1+8*10, 0))
	near(t, "total", r.Total, s.RTT+s.T+10*(s.RTT+s.T*(1+7*s.M)))
	if r.Asks != 11 || r.Tokens != 81 {
		t.Errorf("%+v", r)
	}
	s.Draft = 1
	r = s.Play(Strategy{Kind: Verified, Drafts: true, IDs: true}, drafted(1, 50, 1))
	near(t, "always wrong", r.Total, 50*(s.RTT+s.T))
	// Answers of both kinds have one draft length, and what one of them would rather have had
	// is known to nobody.
	s.Draft = 0.3
	st := Strategy{Kind: Verified, Drafts: true, IDs: true}
	right, wrong := drafted(1, 50, 0), drafted(1, 50, 1)
	both := append(append([]Answer(nil), right...), wrong...)
	if apart, r := s.Play(st, right).Total+s.Play(st, wrong).Total, s.Play(st, both); r.Total <= apart || r.Tokens != 100 || len(r.First) != 2 {
		t.Errorf("%+v, with a length of its own for each %g", r, apart)
	}
}
