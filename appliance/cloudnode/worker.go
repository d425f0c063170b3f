package cloudnode

import (
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"sync"
	"time"

	"skerry/appliance/status"
	"skerry/cloudlink/fleet"
	"skerry/cloudlink/fleet/place"
	"skerry/cloudlink/partition"
	"skerry/cloudlink/trust"
)

// WorkerOptions are of a cloud that is one of several workers, and flags of skerry cloud serve.
type WorkerOptions struct {
	Fleet     []string `help:"Be one of several workers of this cloud, which agree by the etcd at these URLs. Each needs the directory fleet/worker that skerry cloud init --fleet makes." placeholder:"URL"`
	Files     string   `name:"fleet-files" help:"Take the cloud's authority and the certificate for etcd from this copy of fleet/worker, with --fleet; without it they are in the state directory." placeholder:"DIR" type:"path"`
	Advertise string   `help:"Send boards to this worker at this address, with --fleet; without it that is the first name of its certificate." placeholder:"HOST:PORT"`
}

const (
	// joinTime is how long a worker waits for etcd before it serves without.
	joinTime = 10 * time.Second
	// judgeEvery is how often a worker looks at what it can take.
	judgeEvery = 2 * time.Second
	// drainTime bounds how long a worker that stops waits for etcd to know.
	drainTime = 2 * time.Second
	// tellEach is at every how many of these looks it tells what it does.
	tellEach = 5
	// releasedAtOnce is how many boards a look gives up at most.
	releasedAtOnce = 100
)

// check says what of the options cannot be.
func (o *WorkerOptions) check(development bool) error {
	if len(o.Fleet) == 0 {
		switch {
		case o.Advertise != "":
			return errors.New("--advertise is for a worker of several: give --fleet too")
		case o.Files != "":
			return errors.New("--fleet-files is for a worker of several: give --fleet too")
		}
		return nil
	}
	if development {
		return errors.New("--fleet: a cloud for this machine alone has no other workers")
	}
	for _, e := range o.Fleet {
		u, err := url.Parse(e)
		if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
			return fmt.Errorf("--fleet %s: give the URL of an etcd, as https://etcd1:2379", e)
		}
		if ip := net.ParseIP(u.Hostname()); u.Scheme == "http" && (ip == nil || !ip.IsLoopback()) {
			return fmt.Errorf("--fleet %s: http is for an etcd on this machine, as http://127.0.0.1:2379; others need https", e)
		}
	}
	if o.Advertise != "" {
		if host, port, err := net.SplitHostPort(o.Advertise); err != nil || host == "" || port == "" || port == "0" {
			return fmt.Errorf("--advertise %s: give host and port, as cloud-1.example:7537", o.Advertise)
		}
	}
	return nil
}

// member is this worker among the others.
type member struct {
	fleet *fleet.Fleet
	store *sharedStore
	log   *slog.Logger
	stop  context.CancelFunc
	ends  func() time.Time // of the certificate for etcd
	wg    sync.WaitGroup

	address string // where boards are sent to it

	mu     sync.Mutex // guards server
	server *partition.Server
}

// joinFleet joins the other workers and makes the record of boards that of all.
func joinFleet(o Options, r *registry, store *DeviceStore) (_ *member, err error) {
	secret, err := r.Authority.Secret("skerry fleet")
	if err != nil {
		return nil, err
	}
	conf, err := o.Worker.tls(o.State)
	if err != nil {
		return nil, err
	}
	address := o.Worker.Advertise
	if address == "" {
		listen := &registry{Registrar: r.Registrar, listen: o.Listen}
		all := listen.addresses()
		if len(all) == 0 {
			return nil, errors.New("--fleet: this machine has no address that boards could reach: give --advertise HOST:PORT")
		}
		address = all[0]
	}
	m := &member{log: o.Log, address: address, ends: func() time.Time { return o.Worker.expires(o.State) }}
	if soon := ending(m.ends(), time.Now()); soon != "" {
		o.Log.Warn(soon)
	}
	m.fleet, err = fleet.Join(fleet.Options{
		Endpoints: o.Worker.Fleet, TLS: conf, Secret: secret, Log: o.Log, Lost: m.lost,
		Self: fleet.Worker{Address: address, Version: o.Version},
	})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), joinTime)
	defer cancel()
	if err = m.fleet.Ready(ctx); err == nil {
		err = m.sameAuthority(ctx, r.Authority)
	}
	switch {
	case errors.Is(err, fleet.ErrUnavailable):
		o.Log.Warn("serving without the other workers until their etcd answers: a board that is not this worker's has to wait", "err", err)
	case err != nil:
		m.fleet.Close()
		return nil, err
	}
	m.store = share(store, m.fleet, o.Log, m.dropped)
	if err == nil {
		select {
		case <-m.store.copied:
		case <-ctx.Done():
			o.Log.Warn("what the other workers know of boards has not been read yet")
		}
	}
	o.Log.Info("one of several workers", "address", address, "workers", len(m.fleet.Status().Workers))
	return m, nil
}

// sameAuthority refuses a worker whose boards others would not know.
func (m *member) sameAuthority(ctx context.Context, a *trust.Authority) error {
	mine := a.Fingerprint()
	for {
		r, err := m.fleet.Get(ctx, cloudID, authorityName)
		switch {
		case err != nil:
			return err
		case r.Value != nil && !bytes.Equal(r.Value, mine[:]):
			return fleet.ErrSealed
		case r.Value != nil:
			return nil
		}
		r.Value = mine[:]
		if _, err := m.fleet.Put(ctx, r); !errors.Is(err, fleet.ErrChanged) {
			return err
		}
	}
}

// serving has the server's connections follow what other workers do, and the others know what
// this one can take, until close.
func (m *member) serving(server *partition.Server, bundles []partition.Bundle, maxWait, keep time.Duration) {
	m.mu.Lock()
	m.server = server
	m.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	m.stop = cancel
	look := m.looks(server, bundles, maxWait, keep)
	look(ctx)
	m.wg.Go(func() {
		tick := time.NewTicker(judgeEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				look(ctx)
			}
		}
	})
}

// looks is one look at what this worker can take: what the others hear of it, and the boards that
// it gives up.
func (m *member) looks(server *partition.Server, bundles []partition.Bundle, maxWait, keep time.Duration) func(context.Context) {
	judges := map[string]*place.Judge{}
	looked := 0
	return func(ctx context.Context) {
		load := newLoad(server, nil)
		st := load.Stats
		var stages []fleet.Stage
		for _, b := range bundles {
			id := hex.EncodeToString(b.ID[:])
			if judges[id] == nil {
				judges[id] = new(place.Judge)
			}
			stages = append(stages, judged(judges[id], id, b.Name, st, maxWait))
		}
		m.fleet.Update(func(w *fleet.Worker) { w.Stages = stages })
		if looked%tellEach == 0 {
			at := m.fleet.Status()
			load.Fleet = &FleetLoad{Claims: at.Claims, Released: at.Released}
			m.tell(ctx, load.self())
		}
		looked++
		m.release(ctx, server, keep)
	}
}

// release gives up the boards that have been away for so long that nothing is kept for them here:
// they are placed anew when they come back. Of very many it gives up some at each look, so that
// the others go on hearing of this worker, and etcd has time for claims.
func (m *member) release(ctx context.Context, server *partition.Server, keep time.Duration) {
	left := releasedAtOnce
	for _, device := range m.fleet.Claims() {
		gone := func() bool { return server.Away(device, keep) }
		if left == 0 || !gone() {
			continue
		}
		if m.fleet.Release(ctx, device, gone) != nil {
			return // etcd does not answer: later
		}
		left--
		m.log.Info("board given up: it has been away for long", "device", device)
	}
}

// tell leaves what this worker does for those who look at all workers.
func (m *member) tell(ctx context.Context, w Worker) {
	text, err := json.Marshal(w)
	if err == nil {
		err = m.fleet.Tell(ctx, text)
	}
	if err != nil {
		m.log.Debug("what this worker does is not told", "err", err)
	}
}

// judged is how a worker stands with a bundle, of what its server measured. All workers hear of
// each change of it, so that only what decides where boards go is in it, in large steps.
func judged(j *place.Judge, id, name string, st partition.Stats, maxWait time.Duration) fleet.Stage {
	measured := place.Measured{Budget: st.Memory.Budget, Held: st.Memory.Total(), MaxWait: maxWait}
	for _, s := range st.Stages {
		if s.Bundle == name && !s.Whole {
			measured.Contexts, measured.Free = s.Sequences, s.Sequences-s.Sessions
			measured.Pass, measured.Further, measured.Wait = s.Pass, s.Further, s.Wait
		}
	}
	said := j.Stage(id, measured)
	return fleet.Stage{Bundle: id, Name: name, Weight: said.Weight, Hot: said.Hot, Full: said.Full, Wait: said.Wait.Truncate(time.Second)}
}

// partition is the server, nil before it serves.
func (m *member) partition() *partition.Server {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.server
}

// lost ends the connections of a board that another worker has taken.
func (m *member) lost(device, _ string) {
	if s := m.partition(); s != nil {
		s.Moved(device)
	}
}

// dropped ends the connections of a board that another worker has revoked.
func (m *member) dropped(device, why string) {
	if s := m.partition(); s != nil {
		s.Disconnect(device, why)
		s.Evict(device)
	}
}

// drain has the other workers take this one's boards.
func (m *member) drain() {
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	if err := m.fleet.Drain(ctx); err != nil {
		m.log.Warn("the other workers do not know that this one stops", "err", err)
	}
}

// addresses are where boards are sent to the workers that live, this one first: any of them tells
// a board where it belongs.
func (m *member) addresses() []string {
	all := []string{m.address}
	for _, w := range m.fleet.Status().Workers {
		if w.Address != m.address && !w.Draining && len(all) < trust.MaxAddrs {
			all = append(all, w.Address)
		}
	}
	return all
}

func (m *member) close() {
	if m.stop != nil {
		m.stop()
	}
	m.wg.Wait()
	m.store.close()
	m.fleet.Close()
}

// FleetLoad is how this worker stands among the others.
type FleetLoad struct {
	Connected bool   `json:"connected"` // etcd answers
	Trouble   string `json:"trouble,omitempty"`
	Address   string `json:"address"`  // where boards are sent to this worker
	Claims    int    `json:"claims"`   // boards that belong to it
	Released  uint64 `json:"released"` // boards that it gave up, which had been away for long
	Live      int    `json:"live"`     // workers, this one included
	// Expires is when the certificate for etcd ends, nil where there is none.
	Expires *time.Time `json:"expires,omitempty"`
}

// load adds the other workers to what is shown of this one.
func (m *member) load(l *Load) {
	st := m.fleet.Status()
	l.Fleet = &FleetLoad{Connected: st.Connected, Address: m.address, Claims: st.Claims, Released: st.Released, Live: len(st.Workers)}
	if !st.Connected {
		l.Fleet.Trouble = "etcd does not answer: boards stay with this worker, and no other is taken until it does"
		if st.Err != nil {
			l.Fleet.Trouble += " (" + status.OneLine(st.Err) + ")"
		}
	}
	if at := m.ends(); !at.IsZero() {
		l.Fleet.Expires = &at
		if soon := ending(at, time.Now()); l.Fleet.Trouble == "" {
			l.Fleet.Trouble = soon
		}
	}
	var told map[string][]byte // none where etcd does not answer
	if st.Connected {
		told, _ = m.fleet.Told(context.Background())
	}
	for _, w := range st.Workers {
		shown := Worker{Name: w.Address, Version: w.Version}
		if w.Address == m.address {
			shown = l.self()
		} else if json.Unmarshal(told[w.Address], &shown) != nil {
			shown = Worker{Version: w.Version} // it has told nothing yet, or is of another version
		}
		if shown.Name = w.Address; w.Draining {
			shown.State = StateDraining
		}
		l.Workers = append(l.Workers, shown)
	}
}

// String is for the table of a cloud's load.
func (l *FleetLoad) String() string {
	return fmt.Sprintf("%s, %s here; %s", status.Plural(l.Live, "worker"), status.Plural(l.Claims, "board"), cmp.Or(l.Trouble, "etcd answers"))
}
