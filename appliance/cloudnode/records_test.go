package cloudnode

import (
	"reflect"
	"testing"
	"time"

	"skerry/storage"
)

// FuzzRecords reads every kind of record from the bytes, and what is read must survive.
func FuzzRecords(f *testing.F) {
	at := time.Date(2026, 11, 24, 20, 0, 0, 5, time.UTC)
	for _, b := range [][]byte{
		deviceBucket.Encode("k", deviceRecord{1, "text", [32]byte{1}, at, at, at}), epochBucket.Encode("k", 1<<63),
		lineBucket.Encode("k", epochLine{1, 1 << 61, at}), seenBucket.Encode("k", seenRecord{1, at, []byte("ok")}),
		inviteBucket.Encode("k", inviteRecord{1, [32]byte{2}, at, at, at, "pi", "hidden", true}),
	} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		survives(t, deviceBucket, body)
		survives(t, epochBucket, body)
		survives(t, lineBucket, body)
		survives(t, seenBucket, body)
		survives(t, inviteBucket, body)
	})
}

func survives[V any](t *testing.T, b storage.Bucket[V], body []byte) {
	v, err := b.Decode("k", body)
	if err != nil {
		return
	}
	again, err := b.Decode("k", b.Encode("k", v))
	if err != nil || !reflect.DeepEqual(b.Encode("k", again), b.Encode("k", v)) {
		t.Fatalf("%+v became %+v, %v", v, again, err)
	}
}

// TestOldRecords: what a program of before wrote, which knew no versions, is read, and it
// reads what is written now.
func TestOldRecords(t *testing.T) {
	type before struct {
		May      string    `cbor:"1,keyasint"`
		Key      [32]byte  `cbor:"2,keyasint"`
		Enrolled time.Time `cbor:"3,keyasint"`
		Expires  time.Time `cbor:"4,keyasint"`
		Revoked  time.Time `cbor:"5,keyasint,omitempty"`
	}
	old := storage.NewBucket[before]("devices", nil)
	at := time.Date(2026, 11, 24, 20, 0, 0, 0, time.UTC)
	was := before{"hidden", [32]byte{7}, at, at, at}
	now, err := deviceBucket.Decode("k", old.Encode("k", was))
	if want := (deviceRecord{0, "hidden", [32]byte{7}, at, at, at}); err != nil || now != want {
		t.Errorf("%+v, %v", now, err)
	}
	now.Version = recordVersion
	if got, err := old.Decode("k", deviceBucket.Encode("k", now)); err != nil || got != was {
		t.Errorf("%+v, %v", got, err)
	}
}
