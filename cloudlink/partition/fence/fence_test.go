package fence

import (
	"errors"
	"slices"
	"testing"

	"skerry/cloudlink/wire"
)

// book is a Record in memory.
type book struct {
	highest map[string]uint64
	err     error
}

func (b *book) RaiseEpoch(device string, epoch uint64) (uint64, bool, error) {
	raised := epoch > b.highest[device] && epoch <= b.highest[device]+1000
	if raised && b.err == nil {
		b.highest[device] = epoch
	}
	return b.highest[device], raised, b.err
}

func confirm(t *testing.T, f *Fence[string], device, conn string, epoch uint64, want ...string) {
	t.Helper()
	losers, refused, err := f.Confirm(device, conn, epoch)
	if refused != nil || err != nil || !slices.Equal(losers, want) {
		t.Fatalf("%s in epoch %d: losers %v, want %v; %v, %v", conn, epoch, losers, want, refused, err)
	}
}

// The first to confirm an epoch has it: provisional ones of it and of lower epochs lose,
// and an epoch that was had, here or by the record, is nobody's again.
func TestEpochsAreHadOnce(t *testing.T) {
	b := &book{highest: map[string]uint64{"pi": 4}}
	f := New[string](b)
	if f.Provide("pi", "replay", 4) {
		t.Error("an epoch of before the restart was provided")
	}
	for _, c := range []string{"replay", "board", "board"} { // the second time is no third connection
		if !f.Provide("pi", c, 5) {
			t.Errorf("%s was not provided", c)
		}
	}
	if f.Provide("pi", "third", 6) {
		t.Error("more act before their handshake than may")
	}
	if !f.Provide("other", "third", 1) {
		t.Error("one device takes the place of another")
	}
	confirm(t, f, "pi", "board", 5, "replay")
	if used, err := f.Used("pi", 5); !used || err != nil {
		t.Error("the epoch is free again")
	}
	if _, refused, _ := f.Confirm("pi", "replay", 5); refused == nil || refused.Code != wire.CodeStale || refused.Highest != 5 {
		t.Errorf("a second time: %v", refused)
	}
	if _, refused, _ := f.Confirm("pi", "wild", 5000); refused == nil || refused.Code != wire.CodeStale || refused.Highest != 5 {
		t.Errorf("out of reach: %v", refused)
	}
	f.Leave("pi", "replay")
	if !f.Provide("pi", "later", 6) || !f.Provide("pi", "latest", 7) {
		t.Error("one that has left keeps its place")
	}
	confirm(t, f, "pi", "latest", 7, "later")
}

// A board has two connections beside its newest; the oldest one goes.
func TestOldConnectionsGo(t *testing.T) {
	f := New[string](&book{highest: map[string]uint64{}})
	confirm(t, f, "pi", "a", 1)
	confirm(t, f, "pi", "b", 2)
	confirm(t, f, "pi", "c", 3)
	confirm(t, f, "pi", "d", 4, "a")
	f.Leave("pi", "b")
	confirm(t, f, "pi", "e", 5)
	confirm(t, f, "pi", "f", 6, "c")
}

// Without a record a name may be of many boards: epochs are used again, and nobody but
// provisional connections loses.
func TestWithoutRecord(t *testing.T) {
	f := New[string](nil)
	for _, c := range []string{"a", "b", "c", "d"} {
		confirm(t, f, "dev", c, 1)
	}
}

// What cannot be written down is not given, and what is remembered of a device goes when
// its record has changed.
func TestRecordFails(t *testing.T) {
	b := &book{highest: map[string]uint64{"pi": 1 << 63}, err: errors.New("disk full")}
	f := New[string](b)
	if _, refused, err := f.Confirm("pi", "a", 9); refused == nil || refused.Code != wire.CodeInternal || !errors.Is(err, b.err) {
		t.Errorf("%v, %v", refused, err)
	}
	if f.Provide("pi", "a", 9) {
		t.Error("an epoch was provided that may have been used")
	}
	b.err = nil
	if used, _ := f.Used("pi", 9); !used {
		t.Error("the record is not asked again")
	}
	b.highest["pi"] = lastEpoch
	f.Forget("pi")
	if used, _ := f.Used("pi", lastEpoch+1); used {
		t.Error("what was known of a device is still")
	}
	if _, refused, _ := f.Confirm("pi", "a", 9); refused == nil || refused.Code != wire.CodeUnauthorized {
		t.Errorf("numbers used up: %v", refused)
	}
}
