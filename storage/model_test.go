package storage

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// model is what the sessions of a database should hold.
type model map[string]*modelSession

type modelSession struct {
	tokens []int32
	branch uint32
	mode   string
}

// machine runs a database and its model side by side.
type machine struct {
	path    string
	db      *DB
	want    model
	tickets map[string][]string
	epoch   uint64
}

var modelIDs = []string{"a", "b", "longer name", "ü"}

func (m *machine) open(t *rapid.T) {
	var err error
	if m.db, err = Open(m.path, Options{}); err != nil {
		t.Fatal(err)
	}
}

// log draws a session and opens it as the model says it must go.
func (m *machine) log(t *rapid.T) (*SessionLog, *modelSession) {
	id := rapid.SampledFrom(modelIDs).Draw(t, "session")
	log, err := m.db.OpenSession(id)
	want := m.want[id]
	if (want == nil) != errors.Is(err, ErrNoSession) || want != nil && err != nil {
		t.Fatalf("session %q: %v, the model has %v", id, err, want != nil)
	}
	if want == nil {
		t.Skip("no such session")
	}
	return log, want
}

func (m *machine) create(t *rapid.T) {
	id := rapid.SampledFrom(modelIDs).Draw(t, "session")
	_, err := m.db.CreateSession(SessionMeta{ID: id, Mode: "m"})
	if (m.want[id] != nil) != errors.Is(err, ErrExists) {
		t.Fatalf("create %q: %v", id, err)
	}
	if err == nil {
		m.want[id] = &modelSession{mode: "m"}
	}
}

func (m *machine) append(t *rapid.T) {
	log, want := m.log(t)
	n := rapid.OneOf(rapid.IntRange(0, 5), rapid.IntRange(200, 600)).Draw(t, "n")
	again := rapid.IntRange(0, len(want.tokens)).Draw(t, "again")
	again = min(again, 300)
	pos := len(want.tokens) - again
	tokens := slices.Clone(want.tokens[pos:])
	for i := range n {
		tokens = append(tokens, int32(1000*len(tokens)+i))
	}
	if err := log.Append(pos, tokens); err != nil {
		t.Fatal(err)
	}
	want.tokens = append(want.tokens[:pos:pos], tokens...)
	if err := log.Append(len(want.tokens)+1, []int32{1}); !errors.Is(err, ErrGap) {
		t.Fatalf("a gap: %v", err)
	}
}

func (m *machine) truncate(t *rapid.T) {
	log, want := m.log(t)
	pos := rapid.IntRange(0, len(want.tokens)).Draw(t, "pos")
	if err := log.Truncate(pos); err != nil {
		t.Fatal(err)
	}
	want.tokens = want.tokens[:pos:pos]
	want.branch++
}

func (m *machine) setMeta(t *rapid.T) {
	log, want := m.log(t)
	want.mode = rapid.StringN(0, 5, 20).Draw(t, "mode")
	if err := log.SetMeta(SessionMeta{Mode: want.mode}); err != nil {
		t.Fatal(err)
	}
}

func (m *machine) delete(t *rapid.T) {
	id := rapid.SampledFrom(modelIDs).Draw(t, "session")
	if err := m.db.DeleteSession(id); err != nil {
		t.Fatal(err)
	}
	delete(m.want, id)
}

func (m *machine) ticket(t *rapid.T) {
	cloud := rapid.SampledFrom([]string{"c", "cc"}).Draw(t, "cloud")
	have := m.tickets[cloud]
	if rapid.Bool().Draw(t, "put") {
		ticket := fmt.Sprint(cloud, m.epoch, len(have), rapid.Int().Draw(t, "ticket"))
		if err := m.db.PutTicket(cloud, []byte(ticket)); err != nil {
			t.Fatal(err)
		}
		have = append(have, ticket)
		m.tickets[cloud] = have[max(0, len(have)-4):]
		return
	}
	want := ""
	if len(have) > 0 {
		want, m.tickets[cloud] = have[len(have)-1], have[:len(have)-1]
	}
	if got, err := m.db.TakeTicket(cloud); err != nil || string(got) != want {
		t.Fatalf("ticket %q, %v, want %q", got, err, want)
	}
}

func (m *machine) number(t *rapid.T) {
	n, err := m.db.NextEpoch()
	if err != nil || n <= m.epoch {
		t.Fatalf("%d after %d, %v", n, m.epoch, err)
	}
	m.epoch = n
}

func (m *machine) restart(t *rapid.T) {
	if err := m.db.Close(); err != nil {
		t.Fatal(err)
	}
	m.open(t)
	if aside := m.db.SetAside(); aside != "" {
		t.Fatal("set aside", aside)
	}
}

// check compares everything.
func (m *machine) check(t *rapid.T) {
	if err := m.want.equal(m.db); err != nil {
		t.Fatal(err)
	}
}

// equal says how a database differs from the model.
func (want model) equal(db *DB) error {
	list := db.Sessions()
	if len(list) != len(want) {
		return fmt.Errorf("%d sessions, want %v", len(list), slices.Collect(maps.Keys(want)))
	}
	for _, m := range list {
		w := want[m.ID]
		if w == nil || m.Branch != w.branch || m.Mode != w.mode || m.Position != len(w.tokens) {
			return fmt.Errorf("%+v, want %+v", m, w)
		}
		log, err := db.OpenSession(m.ID)
		if err != nil {
			return err
		}
		got, err := log.Tokens()
		if err != nil {
			return err
		}
		if !slices.Equal(got, w.tokens) {
			return fmt.Errorf("session %q: other tokens", m.ID)
		}
	}
	return nil
}

func TestModel(t *testing.T) {
	dir := t.TempDir()
	runs := 0
	rapid.Check(t, func(t *rapid.T) {
		runs++
		m := &machine{path: fmt.Sprintf("%s/%d.db", dir, runs), want: model{}, tickets: map[string][]string{}}
		m.open(t)
		defer func() { m.db.Close() }()
		of := func(f func() error) func(*rapid.T) {
			return func(t *rapid.T) {
				if err := f(); err != nil {
					t.Fatal(err)
				}
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"": m.check, "create": m.create, "append": m.append, "append more": m.append, "truncate": m.truncate,
			"set": m.setMeta, "delete": m.delete, "ticket": m.ticket, "number": m.number, "restart": m.restart,
			"sync":    of(func() error { return m.db.Sync() }),
			"compact": of(func() error { return m.db.Compact() }),
			"verify":  of(func() error { return m.db.Check() }),
		})
	})
}
