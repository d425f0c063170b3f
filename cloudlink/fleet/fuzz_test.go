package fleet

import (
	"reflect"
	"testing"
	"time"
)

// What is read of a worker is read again as it was.
func FuzzDecodeWorker(f *testing.F) {
	f.Add(Worker{Address: "a:1", Lease: 7, Version: "1", Draining: true, Stages: []Stage{{Bundle: "b", Weight: 16, Hot: true, Wait: 5}}}.encode())
	f.Add([]byte(`{"address":"a:1"}`))
	f.Add([]byte("null"))
	f.Fuzz(func(t *testing.T, b []byte) {
		w, err := decodeWorker("a:1", b)
		if err != nil {
			return
		}
		again, err := decodeWorker("a:1", w.encode())
		if err != nil || again.Address != w.Address || again.Lease != w.Lease || len(again.Stages) != len(w.Stages) {
			t.Errorf("%+v became %+v: %v", w, again, err)
		}
	})
}

func FuzzDecodeClaim(f *testing.F) {
	f.Add([]byte(claim{"a:1", 7}.encode()))
	f.Add([]byte("[]"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := decodeClaim(b)
		if err != nil {
			return
		}
		if again, err := decodeClaim([]byte(c.encode())); err != nil || !reflect.DeepEqual(again, c) {
			t.Errorf("%+v became %+v: %v", c, again, err)
		}
	})
}

// What is read of a quota is within reason, and fills up to what it holds and not beyond; its time
// goes back only where it was that of a wrong clock.
func FuzzDecodeBucket(f *testing.F) {
	f.Add([]byte(`{"level":12.5,"at":1700000000000}`), int64(1700000001000))
	f.Add([]byte(`{"level":-1e300}`), int64(0))
	f.Add([]byte(`{"level":0,"at":1700600000000}`), int64(1700000001000)) // far ahead
	f.Add([]byte(`{"level":3,"at":1700000005000}`), int64(1700000001000)) // a little ahead
	f.Fuzz(func(t *testing.T, b []byte, now int64) {
		k, err := decodeBucket(b)
		if err != nil {
			return
		}
		clock := time.UnixMilli(now)
		full, since := k.filled(240, clock), k.At
		if k.At > clock.Add(farAhead).UnixMilli() {
			since = now
		}
		if full.Level > burst(240) || full.At < since || full.Level < min(k.Level, burst(240)) {
			t.Errorf("%+v became %+v", k, full)
		}
	})
}

// Nothing opens but what was sealed for the same key.
func FuzzSealed(f *testing.F) {
	s, err := newSealer(make([]byte, secretLen))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(s.seal("k", []byte("text")))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		plain, err := s.open("k", b)
		if err != nil {
			return
		}
		if _, err := s.open("other", b); err == nil {
			t.Error("opens under another key")
		}
		if again, err := s.open("k", s.seal("k", plain)); err != nil || string(again) != string(plain) {
			t.Errorf("%q became %q: %v", plain, again, err)
		}
	})
}
