package cloudnode

import (
	"testing"
	"time"

	"skerry/cloudlink/trust"
)

const year = 365 * 24 * time.Hour

// Every number that a board in order can have come to is taken, whatever happened
// to it or to its cloud; what leaves too few to go on with is not.
func TestEpochsWithinReach(t *testing.T) {
	now := time.Date(2026, 11, 29, 0, 0, 0, 0, time.UTC)
	micros := uint64(now.UnixMicro())
	for _, c := range []struct {
		name           string
		line           epochLine
		highest, epoch uint64
		now            time.Time
		ok             bool
	}{
		{"first contact", epochLine{}, 0, 1, now, true},
		{"first contact of a board that had other clouds", epochLine{}, 0, 1 << 40, now, true},
		{"first contact of a board that was attacked there", epochLine{}, 0, 1 << 61, now, true},
		{"first contact with an absurd number", epochLine{}, 0, 1<<63 + 17, now, false},
		{"the largest there is", epochLine{recordVersion, 1, now}, 1, 1<<64 - 1, now, false},
		{"the next", epochLine{recordVersion, 5, now}, 5, 6, now, true},
		{"a restart leaves out a block or two", epochLine{recordVersion, 5, now}, 5, 133, now, true},
		{"a crash loop for a year without the cloud", epochLine{recordVersion, 5, now}, 5, 128 * 365 * 86400, now.Add(year), true},
		{"the same, with a clock of the cloud that stands", epochLine{recordVersion, 5, now}, 5, 128 * 365 * 86400, now, true},
		{"ten years in a drawer", epochLine{recordVersion, 5, now}, 5, 200, now.Add(10 * year), true},
		{"the clock of a board in microseconds", epochLine{recordVersion, 5, now}, 5, micros, now, true},
		{"a board whose clock is 80 years ahead", epochLine{recordVersion, 5, now}, 5, micros + 80*365*86400*1e6, now, true},
		{"a cloud whose clock began anew", epochLine{recordVersion, 5, now}, 5, micros, time.Unix(0, 0), true},
		{"counting on from microseconds", epochLine{recordVersion, micros, now}, micros, micros + 64, now, true},
		{"microseconds again, an hour later", epochLine{recordVersion, micros, now}, micros, micros + 3600e6, now.Add(time.Hour), true},
		{"a record from before there were lines", epochLine{}, 900, 901, now, true},
		{"such a record of a device that was attacked", epochLine{}, 1<<62 + 5, 1<<62 + 133, now, true},
		{"a line from the future", epochLine{recordVersion, 5, now.Add(70 * year)}, 900, 901, now, true},
		{"a jump that is no clock's", epochLine{recordVersion, 5, now}, 5, 1 << 53, now, false},
		{"2^61 when the last was 5", epochLine{recordVersion, 5, now}, 5, 1 << 61, now, false},
		{"the end of the numbers, near it", epochLine{recordVersion, 1<<64 - 3, now}, 1<<64 - 3, 1<<64 - 1, now, true},
	} {
		line, ok := c.line.next(c.highest, c.epoch, c.now)
		if ok != c.ok {
			t.Errorf("%s: %d after %d: taken %v, want %v", c.name, c.epoch, c.highest, ok, c.ok)
		}
		if ok && c.epoch < 1<<63 && line.above(c.now) < c.epoch+128 {
			t.Errorf("%s: after %d no more than %d would be taken", c.name, c.epoch, line.above(c.now))
		}
	}
}

// Whoever has a board's key, raises its number as far as it goes, time and again
// for years, and always right before the board: the board is let in with the
// number after, and never comes near the end.
func TestNobodyBurnsAnEpoch(t *testing.T) {
	now := time.Date(2026, 11, 29, 0, 0, 0, 0, time.UTC)
	line, highest := epochLine{}, uint64(0)
	for try := range 20000 {
		for bit := 63; bit >= 0; bit-- { // as far as it goes
			if next, ok := line.next(highest, highest+1<<bit, now); ok && highest+1<<bit > highest {
				line, highest = next, highest+1<<bit
			}
		}
		now = now.Add(20 * time.Millisecond) // the board reads the highest, and dials again
		next, ok := line.next(highest, highest+64, now)
		if !ok {
			t.Fatalf("try %d: the board is refused with %d after %d", try, highest+64, highest)
		}
		line, highest = next, highest+64
		now = now.Add(24 * time.Hour)
	}
	if highest > 1<<62 {
		t.Errorf("after 54 years the highest is %d", highest)
	}
}

// A new key makes a device of that name another board, whose numbers begin anew; a
// renewal of the same key does not. All of it is in the file.
func TestNewKeyBeginsEpochsAnew(t *testing.T) {
	dir := t.TempDir()
	db := openStore(t, dir)
	start := time.Now()
	key := func(b byte) [32]byte { return [32]byte{b} }
	must0(t, db.PutDevice(trust.Device{Name: "shed", Disclosure: "hidden", Key: key(1), Enrolled: start}))
	must0(t, db.Keep(epochBucket.Put("shed", 1<<64-1)), db.Close()) // as a former version took it
	db = openStore(t, dir)
	if h, raised, err := db.RaiseEpoch("shed", 65); raised || h != 1<<64-1 || err != nil {
		t.Fatal(h, raised, err)
	}
	must0(t, db.PutDevice(trust.Device{Name: "shed", Disclosure: "text", Key: key(1), Enrolled: start}))
	if d, err := db.Device("shed"); err != nil || d.Epoch != 1<<64-1 {
		t.Fatalf("a renewal: %+v, %v", d, err)
	}
	must0(t, db.RevokeDevice("shed"), db.PutDevice(trust.Device{Name: "shed", Disclosure: "text", Key: key(2), Enrolled: time.Now().Add(time.Second)}), db.Close())
	db = openStore(t, dir)
	if h, raised, err := db.RaiseEpoch("shed", 65); !raised || h != 65 || err != nil {
		t.Fatal(h, raised, err)
	}
	if h, raised, err := db.RaiseEpoch("shed", 1<<63); raised || h != 65 || err != nil {
		t.Fatalf("an absurd one: %d, %v, %v", h, raised, err)
	}
	must0(t, db.Close())
	db = openStore(t, dir)
	if h, raised, err := db.RaiseEpoch("shed", 66); !raised || h != 66 || err != nil || db.SetAside() != "" {
		t.Fatal(h, raised, err, db.SetAside())
	}
}
