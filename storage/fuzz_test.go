package storage

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"go.etcd.io/bbolt"
)

// records has one of every kind with something in every field.
func records() map[string]any {
	at := time.Date(2026, 11, 24, 20, 0, 0, 5, time.UTC)
	return map[string]any{
		schemaBucket:  schema{"board", 1},
		sessionBucket: sessionRecord{1, "b", "auto", 1, 2, []byte{3}, true, at, at, 4, 5, Summary{1, "laptop", "phone", "m", "Hello", "stop", 3, true}},
		tokenBucket:   chunk{1, 256, []int32{1, 1 << 30, -1}},
		ticketBucket:  []byte("ticket"),
	}
}

func fuzzRecord[T any](t *testing.T, body []byte) {
	var v, again T
	if decode("k", body, &v) != nil {
		return
	}
	if err := unseal("k", seal("k", v), &again); err != nil {
		t.Fatalf("%+v does not survive: %v", v, err)
	}
	if a, b := seal("k", v), seal("k", again); !slices.Equal(a, b) {
		t.Fatalf("%+v became %+v", v, again)
	}
}

// FuzzRecord reads every kind of record from the bytes.
func FuzzRecord(f *testing.F) {
	for _, v := range records() {
		f.Add(seal("k", v)[sumBytes:])
	}
	f.Add(seal("k", [][32]byte{{1}, {2}})[sumBytes:])
	f.Add([]byte{0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, body []byte) {
		fuzzRecord[schema](t, body)
		fuzzRecord[sessionRecord](t, body)
		fuzzRecord[chunk](t, body)
		fuzzRecord[monthly](t, body)
		fuzzRecord[[]byte](t, body)
		fuzzRecord[uint64](t, body)
		fuzzRecord[time.Time](t, body)
		fuzzRecord[[][32]byte](t, body)
		checkRecord := boardKind.checker()
		for _, bucket := range boardKind.buckets() {
			for _, key := range []string{"k", timeKey, epochKey, enrolmentKey, addressKey, bytesKey} {
				checkRecord(bucket, key, body)
				checkRecord(bucket, key, append(binary.LittleEndian.AppendUint32(nil, sum(key, body)), body...))
			}
		}
	})
}

func TestRecordsSurvive(t *testing.T) {
	checkRecord := boardKind.checker()
	for bucket, v := range records() {
		key := "12345678"
		value := seal(key, v)
		if err := checkRecord(bucket, key, value); err != nil {
			t.Error(err)
		}
		if checkRecord(bucket, "87654321", value) == nil {
			t.Errorf("%s: a record of another key is taken", bucket)
		}
		got := reflect.New(reflect.TypeOf(v))
		if err := unseal(key, value, got.Interface()); err != nil || !reflect.DeepEqual(got.Elem().Interface(), v) {
			t.Errorf("%s: %+v is not %+v, %v", bucket, got.Elem(), v, err)
		}
	}
}

// FuzzFile changes bytes of a database; what verify lets pass, bbolt must open,
// read and check without a panic. The input is edits of four bytes: a place, in
// units of the file's length, and what to xor.
func FuzzFile(f *testing.F) {
	whole, _ := filled(f)
	path := filepath.Join(f.TempDir(), "board.db")
	f.Add([]byte{0, 0, 0, 0})
	f.Add([]byte{0x40, 0, 1, 1, 0x80, 0, 2, 0xff})
	f.Add([]byte{0, 16, 0, 8, 0, 32, 0, 1})
	f.Fuzz(func(t *testing.T, edits []byte) {
		file := slices.Clone(whole)
		for ; len(edits) >= 4; edits = edits[4:] {
			at := int(binary.BigEndian.Uint16(edits))*len(file)>>16 + int(edits[2])
			file[at%len(file)] ^= edits[3]
		}
		mendMeta(file)
		visited := 0
		r := bytesAt(file)
		if _, err := verify(r, int64(len(file)), func(_, _ string, _ []byte) { visited++ }); err != nil {
			return
		}
		if err := os.WriteFile(path, file, 0o600); err != nil {
			t.Fatal(err)
		}
		b, err := bbolt.Open(path, 0o600, &bbolt.Options{PageSize: pageSize, ReadOnly: true})
		if err != nil {
			t.Fatalf("bbolt does not open it: %v", err)
		}
		defer b.Close()
		read := 0
		b.View(func(tx *bbolt.Tx) error {
			for e := range tx.Check() {
				t.Errorf("bbolt's check: %v", e)
			}
			return tx.ForEach(func(_ []byte, b *bbolt.Bucket) error {
				return b.ForEach(func(k, v []byte) error { read++; return nil })
			})
		})
		if read != visited {
			t.Fatalf("verify saw %d records, bbolt %d", visited, read)
		}
	})
}

type bytesAt []byte

func (b bytesAt) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off > int64(len(b)) {
		return 0, os.ErrInvalid
	}
	n := copy(p, b[off:])
	if n < len(p) {
		return n, os.ErrInvalid
	}
	return n, nil
}

// cloudKind is another kind of database.
var cloudKind = Kind{Name: "cloud"}
