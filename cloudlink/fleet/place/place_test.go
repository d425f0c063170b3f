package place

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"skerry/build/testseed"
)

const bundle = "b"

// workers draws some that serve one bundle.
func workers(t *rapid.T, least, most int) []Worker {
	all := make([]Worker, rapid.IntRange(least, most).Draw(t, "workers"))
	for i := range all {
		w := uint32(rapid.IntRange(16, 1024).Draw(t, "weight"))
		all[i] = Worker{Name: fmt.Sprintf("w%d", i), Stages: []Stage{{Bundle: bundle, Weight: w}}}
	}
	return all
}

// placed is where each of so many keys goes.
func placed(all []Worker, keys int) []string {
	f, at := New(all), make([]string, keys)
	for i := range at {
		at[i] = f.Choose(Key(mix(uint64(i))), bundle).Worker
	}
	return at
}

// TestBalance: workers get sessions by their weights, as closely as chance has it.
func TestBalance(t *testing.T) {
	const keys = 8000
	rapid.Check(t, func(t *rapid.T) {
		all := workers(t, 1, 40)
		got, sum := map[string]int{}, 0.0
		for _, w := range placed(all, keys) {
			got[w]++
		}
		for _, w := range all {
			sum += float64(w.Stages[0].Weight)
		}
		for _, w := range all {
			p := float64(w.Stages[0].Weight) / sum
			want, sigma := keys*p, math.Sqrt(keys*p*(1-p))
			if d := math.Abs(float64(got[w.Name]) - want); d > 5*sigma+2 {
				t.Fatalf("%s has %d sessions, want %.0f, give or take %.0f", w.Name, got[w.Name], want, 5*sigma)
			}
		}
	})
}

// TestLittleMoves: a worker that joins takes sessions, one that leaves loses its own, one whose
// weight changes takes or loses some, and no session moves between others.
func TestLittleMoves(t *testing.T) {
	const keys = 2000
	rapid.Check(t, func(t *rapid.T) {
		all := workers(t, 2, 30)
		before := placed(all, keys)
		at := rapid.IntRange(0, len(all)-1).Draw(t, "which")
		name, weight := all[at].Name, all[at].Stages[0].Weight
		moved := func(after []string, to, from bool) (n int) {
			t.Helper()
			for i := range after {
				if after[i] == before[i] {
					continue
				}
				if n++; !(to && after[i] == name || from && before[i] == name) {
					t.Fatalf("a session moved from %s to %s, which nothing happened to", before[i], after[i])
				}
			}
			return n
		}
		moved(placed(slices.Delete(slices.Clone(all), at, at+1), keys), false, true)
		for _, d := range []int{1, 5, 500} {
			changed := slices.Clone(all)
			changed[at].Stages = []Stage{{Bundle: bundle, Weight: weight + uint32(d)}}
			n := moved(placed(changed, keys), true, false)
			sum := 0.0
			for _, w := range changed {
				sum += float64(w.Stages[0].Weight)
			}
			share := (float64(weight)+float64(d))/sum - float64(weight)/(sum-float64(d))
			if most := keys*share + 5*math.Sqrt(keys*share) + 2; float64(n) > most {
				t.Fatalf("%d of %d sessions moved when a weight went from %d to %d of %.0f, want %.0f at most", n, keys, weight, weight+uint32(d), sum, most)
			}
		}
	})
}

// TestSameEverywhere: the order of records does not matter, and neither does the version of
// the program or the processor: the workers below must stay the same.
func TestSameEverywhere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := workers(t, 1, 20)
		shuffled := rapid.Permutation(all).Draw(t, "shuffled")
		shuffled = append(shuffled, Worker{Name: all[0].Name}) // a second of the name is left out
		if a, b := placed(all, 200), placed(shuffled, 200); !slices.Equal(a, b) {
			t.Fatal("another order of records places otherwise")
		}
	})
	f := New([]Worker{
		{Name: "north", Stages: []Stage{{Bundle: bundle, Weight: 160}}},
		{Name: "south", Stages: []Stage{{Bundle: bundle, Weight: 320}}},
		{Name: "west", Stages: []Stage{{Bundle: bundle, Weight: 80}}},
	})
	got := ""
	for i := range 24 {
		got += f.Order(KeyOf("device", strconv.Itoa(i)), bundle)[0][:1]
	}
	if want := "sssnnwsssnnwnssnsssnnssw"; got != want {
		t.Errorf("placed at %s, want %s: workers of two versions would send boards to and fro", got, want)
	}
	if a, b := KeyOf("ab", "c"), KeyOf("a", "bc"); a == b {
		t.Error("two names that read alike have one key")
	}
}

// TestChooseIsFirstThatMay: Choose agrees with Order whatever the workers' state.
func TestChooseIsFirstThatMay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := workers(t, 1, 8)
		hot, full := map[string]bool{}, map[string]bool{}
		for i := range all {
			w, s := &all[i], &all[i].Stages[0]
			w.Draining, s.Hot, s.Full = rapid.Bool().Draw(t, "draining"), rapid.Bool().Draw(t, "hot"), rapid.Bool().Draw(t, "full")
			hot[w.Name], full[w.Name] = s.Hot, s.Full
		}
		not := all[0].Name
		f, key := New(all), Key(rapid.Uint64().Draw(t, "key"))
		order := f.Order(key, bundle)
		may := func(hotToo bool) (string, int) {
			for i, n := range order {
				if n != not && !full[n] && (hotToo || !hot[n]) {
					return n, i
				}
			}
			return "", -1
		}
		want := Choice{}
		if f.Len() == 0 {
			want.Reason = NoWorker
		} else if n, at := may(false); at == 0 {
			want = Choice{Worker: n, Reason: First}
		} else if at > 0 {
			want = Choice{Worker: n, Reason: Shed}
		} else if n, at := may(true); at >= 0 {
			want = Choice{Worker: n, Reason: AllHot}
		} else {
			want.Reason = NoRoom
		}
		if got := f.Choose(key, bundle, not); got != want {
			t.Fatalf("%+v, want %+v of %v", got, want, order)
		}
		if got := f.Choose(key, "another"); f.Len() > 0 && got.Reason != NoBundle {
			t.Fatalf("a bundle nobody has: %+v", got)
		}
	})
}

// TestShedSpreads: what one hot worker does not take goes to all others, not to one.
func TestShedSpreads(t *testing.T) {
	all := make([]Worker, 11)
	for i := range all {
		all[i] = Worker{Name: fmt.Sprint(i), Stages: []Stage{{Bundle: bundle, Weight: 100, Hot: i == 0}}}
	}
	got := map[string]int{}
	for _, w := range placed(all, 11000) {
		got[w]++
	}
	if got["0"] != 0 || len(got) != 10 {
		t.Fatalf("sessions by worker: %v", got)
	}
	for w, n := range got {
		if n < 900 || n > 1300 {
			t.Errorf("worker %s has %d of 11000 sessions", w, n)
		}
	}
}

// TestNoRoomSaysHowLong: the least wait there is.
func TestNoRoomSaysHowLong(t *testing.T) {
	f := New([]Worker{
		{Name: "a", Stages: []Stage{{Bundle: bundle, Weight: 1, Full: true, Wait: 3 * time.Second}}},
		{Name: "b", Stages: []Stage{{Bundle: bundle, Weight: 1, Full: true, Wait: 2 * time.Second}}},
	})
	if c := f.Choose(1, bundle); c != (Choice{Reason: NoRoom, Wait: 2 * time.Second}) {
		t.Errorf("%+v", c)
	}
}

// TestLogarithm is close to the real one, and falls from a number to a larger one.
func TestLogarithm(t *testing.T) {
	random := testseed.Rand(t)
	check := func(h uint64) {
		got := float64(negLog(h)) / (1 << fraction)
		want := 64 - math.Log2(float64(h|1))
		if math.Abs(got-want) > 1e-6 {
			t.Fatalf("-log2 of %#x is %v, want %v", h, got, want)
		}
	}
	for range 100000 {
		h := random.Uint64() >> random.IntN(64)
		check(h)
		if negLog(h) < negLog(h|h>>1|1) {
			t.Fatalf("-log2 of %#x is below that of a larger number", h)
		}
	}
	check(1)
	check(math.MaxUint64)
}

// measured draws what a worker might measure.
func measured(t *rapid.T) Measured {
	m := Measured{
		Contexts: rapid.IntRange(1, 4096).Draw(t, "contexts"), Budget: 1 << 30, PerSession: 1 << 18,
		Pass:    time.Duration(rapid.IntRange(0, 200).Draw(t, "T")) * time.Millisecond,
		MaxWait: 5 * time.Second,
	}
	m.Further = time.Duration(rapid.Float64Range(0, 1).Draw(t, "m") * float64(m.Pass))
	m.Free = rapid.IntRange(0, m.Contexts).Draw(t, "free")
	m.Held = rapid.Int64Range(0, m.Budget).Draw(t, "held")
	m.Wait = time.Duration(rapid.IntRange(0, 6000).Draw(t, "wait")) * time.Millisecond
	return m
}

// TestSmallChangesDoNotShow: what is measured may waver by a twentieth, and the weight changes
// once at most.
func TestSmallChangesDoNotShow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := measured(t)
		m.Contexts, m.Free = 1<<20, 1<<20 // whole numbers would make steps of their own
		m.Budget = 0
		m.Pass = max(m.Pass, time.Millisecond)
		m.Further = max(m.Further, m.Pass/100)
		var j Judge
		changes, last := -1, uint32(0)
		for range 50 {
			w := m
			by := rapid.Float64Range(0.95, 1.05).Draw(t, "by")
			w.Pass, w.Further = time.Duration(float64(m.Pass)*by), time.Duration(float64(m.Further)*by)
			if s := j.Stage(bundle, w); s.Weight != last {
				changes, last = changes+1, s.Weight
			}
		}
		if changes > 1 {
			t.Fatalf("%d changes of weight", changes)
		}
	})
}

// TestWeightFollows: two workers of which one has twice the room have weights of one to two,
// within what a class is wide, and more of anything is never less weight.
func TestWeightFollows(t *testing.T) {
	weight := func(m Measured) float64 { return float64(new(Judge).Stage(bundle, m).Weight) }
	rapid.Check(t, func(t *rapid.T) {
		m := measured(t)
		slower, longer, fuller := m, m, m
		slower.Pass, slower.Further = 2*m.Pass, 2*m.Further
		longer.Wait += time.Second
		fuller.Free /= 2
		for what, w := range map[string]Measured{"slower": slower, "with a longer queue": longer, "fuller": fuller} {
			if weight(w) > weight(m) {
				t.Fatalf("%s: %+v weighs %v, %+v %v", what, w, weight(w), m, weight(m))
			}
		}
		if s := new(Judge).Stage(bundle, m); s.Weight == 0 || m.Free == 0 && !s.Full {
			t.Fatalf("%+v: %+v", m, s)
		}
	})
	idle := Measured{Contexts: 1000, Free: 1000, Pass: 20 * time.Millisecond, Further: 2 * time.Millisecond, MaxWait: 5 * time.Second}
	twice := idle
	twice.Pass, twice.Further = idle.Pass/2, idle.Further/2
	if r := weight(twice) / weight(idle); r < 1.9 || r > 2.1 {
		t.Errorf("twice the speed weighs %v times as much", r)
	}
}

// TestHotLasts: a worker that wavers about the border is hot once, not again and again.
func TestHotLasts(t *testing.T) {
	var j Judge
	m := Measured{Contexts: 64, Free: 64, MaxWait: 4 * time.Second}
	for _, c := range []struct {
		wait time.Duration
		free int
		hot  bool
	}{
		{0, 64, false}, {1900, 64, false}, {2000, 64, true}, {1900, 64, true}, {1100, 64, true}, {1000, 64, false}, {1900, 64, false},
		{0, 5, false}, {0, 4, true}, {0, 7, true}, {0, 8, false}, {0, 0, true},
	} {
		m.Wait, m.Free = c.wait*time.Millisecond, c.free
		if s := j.Stage(bundle, m); s.Hot != c.hot || s.Full != (c.free == 0) {
			t.Errorf("a wait of %v and %d of 64 contexts free: %+v", m.Wait, c.free, s)
		}
	}
}

func BenchmarkChoose(b *testing.B) {
	for _, n := range []int{3, 10, 100, 1000} {
		all, random := make([]Worker, n), rand.New(rand.NewPCG(1, 1))
		for i := range all {
			all[i] = Worker{Name: fmt.Sprint(i), Stages: []Stage{{Bundle: bundle, Weight: random.Uint32N(1000) + 1}}}
		}
		f := New(all)
		b.Run(fmt.Sprintf("workers=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for i := range b.N {
				f.Choose(Key(mix(uint64(i))), bundle)
			}
		})
	}
}
