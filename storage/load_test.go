package storage

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	"skerry/build/testleak"
)

// The environment that makes a child of the test binary: the database, the
// seed, and the number of the first operation.
const (
	childPath  = "SKERRY_STORAGE_CHILD"
	childSeed  = "SKERRY_STORAGE_SEED"
	childFirst = "SKERRY_STORAGE_FIRST"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(childPath); path != "" {
		seed, _ := strconv.ParseUint(os.Getenv(childSeed), 10, 64)
		first, _ := strconv.ParseUint(os.Getenv(childFirst), 10, 64)
		fmt.Fprintln(os.Stderr, child(path, seed, first, os.Stdout))
		os.Exit(1) // it is killed, unless something went wrong
	}
	testleak.Main(m)
}

// What a child says, each with a number.
const (
	saidOpening = 'o'
	saidOpen    = 'O' // what was set aside is a failure
	saidSynced  = 's' // operations that are committed
	saidEpoch   = 'e' // a connection number given out
	saidTicket  = 't' // a ticket taken
)

func say(w io.Writer, what byte, n uint64) error {
	_, err := w.Write(binary.LittleEndian.AppendUint64([]byte{what}, n))
	return err
}

func hear(r io.Reader) (what byte, n uint64, err error) {
	var buf [9]byte
	_, err = io.ReadFull(r, buf[:])
	return buf[0], binary.LittleEndian.Uint64(buf[1:]), err
}

// child writes the load of the seed until it is killed or fails.
func child(path string, seed, first uint64, out io.Writer) error {
	if err := say(out, saidOpening, 0); err != nil {
		return err
	}
	db, err := Open(path, Options{})
	if err != nil {
		return err
	}
	if aside := db.SetAside(); aside != "" {
		return fmt.Errorf("set aside: %s", aside)
	}
	say(out, saidOpen, 0)
	for n := first; ; n++ {
		op := operation(seed, n)
		if err := op.on(db, out); err != nil {
			return fmt.Errorf("operation %d %+v: %w", n, op, err)
		}
		if op.sync {
			if err := db.Sync(); err != nil {
				return err
			}
			if err := say(out, saidSynced, n+1); err != nil {
				return err
			}
		}
	}
}

// op is one change of the load. It reaches the file whole or not at all.
type op struct {
	n             uint64
	id            string
	what          int // 0-19
	count         int
	sync, compact bool
}

func operation(seed, n uint64) op {
	rng := rand.New(rand.NewPCG(seed, n))
	return op{
		n: n, id: fmt.Sprint("session ", rng.IntN(4)), what: rng.IntN(20), count: 1 + rng.IntN(40),
		sync: rng.IntN(8) == 0, compact: rng.IntN(40) == 0,
	}
}

func (o op) tokens() (out []int32) {
	for i := range o.count {
		out = append(out, int32(o.n)<<6+int32(i))
	}
	return out
}

// on does the operation to a database.
func (o op) on(db *DB, out io.Writer) error {
	if o.compact {
		if err := db.Compact(); err != nil {
			return err
		}
	}
	log, err := db.OpenSession(o.id)
	if err != nil {
		_, err = db.CreateSession(SessionMeta{ID: o.id, Mode: fmt.Sprint(o.n)})
		return err
	}
	m, err := log.Meta()
	if err != nil {
		return err
	}
	switch o.what {
	case 0:
		return db.DeleteSession(o.id)
	case 1, 2:
		return log.Truncate(m.Position / 2)
	case 3:
		return log.SetMeta(SessionMeta{Mode: fmt.Sprint(o.n)})
	case 4:
		n, err := db.NextEpoch()
		if err != nil {
			return err
		}
		return say(out, saidEpoch, n)
	case 5:
		return ticketed(db, o.n, out)
	}
	return log.Append(m.Position, o.tokens())
}

// ticketed puts a ticket that is like no other and takes the newest.
func ticketed(db *DB, n uint64, out io.Writer) error {
	if err := db.PutTicket("cloud", binary.LittleEndian.AppendUint64(nil, rand.Uint64())); err != nil {
		return err
	}
	if n%2 == 0 {
		return nil
	}
	ticket, err := db.TakeTicket("cloud")
	if err != nil || ticket == nil {
		return err
	}
	return say(out, saidTicket, binary.LittleEndian.Uint64(ticket))
}

// on does the operation to a model.
func (want model) apply(o op) {
	s := want[o.id]
	switch {
	case s == nil:
		want[o.id] = &modelSession{mode: fmt.Sprint(o.n)}
	case o.what == 0:
		delete(want, o.id)
	case o.what <= 2:
		s.tokens = s.tokens[:len(s.tokens)/2]
		s.branch++
	case o.what == 3:
		s.mode = fmt.Sprint(o.n)
	case o.what > 5:
		s.tokens = append(s.tokens, o.tokens()...)
	}
}
