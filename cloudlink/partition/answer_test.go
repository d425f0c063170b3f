package partition

import (
	"log/slog"
	"runtime"
	"testing"
	"time"

	"skerry/cloudlink/rank"
	"skerry/cloudlink/wire"
)

// bigStage has a large vocabulary and computes nothing.
type bigStage struct{}

func (bigStage) Width() int                      { return 4 }
func (bigStage) Vocab() int                      { return 1 << 20 }
func (bigStage) Sequences() int                  { return 1 }
func (bigStage) Context() int                    { return 1024 }
func (bigStage) MaxRows() int                    { return 8 }
func (bigStage) Forward(Rows) ([]float32, error) { return nil, nil }
func (bigStage) Truncate(int, int) error         { return nil }

// What is done under the lock that all sessions share takes no time that grows with
// the vocabulary: large answers are handed on, and the rest is a copy of the best.
func TestNothingLargeUnderTheLock(t *testing.T) {
	conf, err := Config{Bundles: []Bundle{{Stage: bigStage{}}}, Log: slog.New(slog.DiscardHandler), MaxWait: time.Hour}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	mem := newMemory(conf)
	s := newScheduler(conf.Bundles[0], conf, mem)
	a := newAccount("shed", conf.Quota, conf.Log)
	tail, refused := s.admit(a, 0)
	if refused != nil {
		t.Fatal(refused)
	}
	var quick []*wire.Answer
	var handed []*largeAnswer
	tail.reply = func(m wire.Message) {
		if m, ok := m.(*wire.Answer); ok {
			quick = append(quick, m)
		} else {
			t.Fatalf("%+v", m)
		}
	}
	tail.queueLarge = func(l *largeAnswer) bool {
		handed = append(handed, l)
		return true
	}
	now := time.Now()
	mask := rank.NewIDSet([]int32{1, 2, 3}, bigStage{}.Vocab())
	asks := []*wire.Ask{{TopK: 1}, {TopK: 1024}, {TopK: 1 << 19}, {TopK: 0}, {TopK: 5}}
	ask := func(pos uint64) {
		for i, m := range asks {
			m := *m
			m.Position = pos
			set := mask
			if i < 4 {
				set = nil
			}
			tail.ask(&m, set, now)
		}
	}
	tail.started = true
	ask(0)
	if refused := tail.append(0, make([]float32, 4), 4, now); refused != nil {
		t.Fatal(refused)
	}
	b := newBatch(bigStage{})
	b.add(tail, 1)
	logits := make([]float32, bigStage{}.Vocab())
	logits[77] = 1
	made := b.reduce(logits, len(logits)) // without the lock

	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	tail.deliver(0, 0, made[0], now)
	ask(0) // of the kept row
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 1<<19 {
		t.Errorf("%d bytes were made under the lock", n)
	}
	if len(quick) != 4 || len(quick[1].IDs) != 1024 || quick[1].IDs[0] != 77 {
		t.Errorf("%d answers at once", len(quick))
	}
	if len(handed) != 6 || len(handed[0].message().IDs) != 1<<19 || len(handed[1].message().Logits) != 1<<20 || len(handed[2].message().IDs) != 3 {
		t.Errorf("%d answers handed on", len(handed))
	}
	if tail.askBytes != 0 || mem.asks.Load() != 6*(4<<20+askOverhead)+2*int64(mask.Bytes()) || a.waiting.Load() != 6 {
		t.Errorf("%d bytes counted of %d asks", mem.asks.Load(), a.waiting.Load())
	}
}
