package node

import (
	"encoding/binary"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"skerry/appliance/node/nodetest"
	"skerry/cloudlink/monitor"
	"skerry/storage"
)

// TestLinkMinutes: a day of minutes is kept, over restarts.
func TestLinkMinutes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	synctest.Test(t, func(t *testing.T) {
		db := nodetest.OpenDB(t, dir)
		start := time.Now().UTC().Truncate(time.Minute)
		for i := range 30 {
			at := time.Now().Truncate(time.Minute)
			err := (&linkMinutes{db: db}).AppendLink([]monitor.Minute{
				{Start: at, Worst: monitor.Down, Reason: "no answer", RTT: time.Duration(i), Loss: 0.25, Goodput: 1e6},
				{Start: at.Add(time.Minute), Worst: monitor.Fair},
			})
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Hour)
		}
		for range 2 {
			got, err := LinkMinutes(db, time.Time{})
			if err != nil || len(got) != 50 || got[49].Worst != "fair" {
				t.Fatalf("%d minutes, %v", len(got), err)
			}
			want := monitor.Record{Version: 1, Start: start.Add(5 * time.Hour), Worst: "down", Reason: "no answer", RTT: 5, Loss: 0.25, Goodput: 1e6}
			if got[0] != want {
				t.Errorf("%+v, want %+v", got[0], want)
			}
			got, err = LinkMinutes(db, start.Add(28*time.Hour))
			if err != nil || len(got) != 4 || !got[0].Start.Equal(start.Add(28*time.Hour)) {
				t.Fatalf("of two hours: %d minutes, %v", len(got), err)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			db = nodetest.OpenDB(t, dir)
		}
		// A clock set back a year stops no pruning.
		many := make([]monitor.Minute, minutesMost+10)
		for i := range many {
			many[i].Start = start.AddDate(1, 0, 0)
		}
		if err := (&linkMinutes{db: db}).AppendLink(many); err != nil {
			t.Fatal(err)
		}
		if got, err := LinkMinutes(db, time.Time{}); err != nil || len(got) != minutesMost {
			t.Fatalf("%d minutes, %v", len(got), err)
		}
	})
}

// TestOldMinutes: what a program of before wrote, which knew more fields and no versions,
// is read, and it reads what is written now.
func TestOldMinutes(t *testing.T) {
	type before struct {
		At        time.Time     `cbor:"1,keyasint"`
		State     string        `cbor:"2,keyasint"`
		Reason    string        `cbor:"3,keyasint,omitempty"`
		RTT       time.Duration `cbor:"4,keyasint,omitempty"`
		Deviation time.Duration `cbor:"5,keyasint,omitempty"`
		Loss      float64       `cbor:"6,keyasint,omitempty"`
		Goodput   float64       `cbor:"7,keyasint,omitempty"`
		Queue     time.Duration `cbor:"8,keyasint,omitempty"`
		Up        uint64        `cbor:"9,keyasint,omitempty"`
		Down      uint64        `cbor:"10,keyasint,omitempty"`
	}
	old := storage.NewBucket[before](storage.LinkBucket, nil)
	at := time.Date(2026, 11, 24, 20, 0, 0, 0, time.UTC)
	now, err := minuteBucket.Decode("k", old.Encode("k", before{at, "good", "why", 1, 2, 0.5, 1e6, 3, 4, 5}))
	if want := (monitor.Record{Start: at, Worst: "good", Reason: "why", RTT: 1, Loss: 0.5, Goodput: 1e6}); err != nil || now != want {
		t.Errorf("%+v, %v", now, err)
	}
	now.Version = 1
	if got, err := old.Decode("k", minuteBucket.Encode("k", now)); err != nil || got != (before{At: at, State: "good", Reason: "why", RTT: 1, Loss: 0.5, Goodput: 1e6}) {
		t.Errorf("%+v, %v", got, err)
	}
}

// FuzzMinute reads a minute from the bytes, and what is read must survive.
func FuzzMinute(f *testing.F) {
	f.Add(minuteBucket.Encode("k", monitor.Minute{Start: time.Date(2026, 11, 24, 20, 0, 0, 0, time.UTC), Worst: monitor.Good, Reason: "why", RTT: 1, Loss: 0.5, Goodput: 1e6}.Record()))
	f.Add(binary.BigEndian.AppendUint64(nil, 1<<63))
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := minuteBucket.Decode("k", body)
		if err != nil {
			return
		}
		again, err := minuteBucket.Decode("k", minuteBucket.Encode("k", r))
		if err != nil || string(minuteBucket.Encode("k", again)) != string(minuteBucket.Encode("k", r)) {
			t.Fatalf("%+v became %+v, %v", r, again, err)
		}
	})
}
