package cloudlink

import (
	"cmp"
	"context"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"skerry/cloudlink/internal/budget"
	"skerry/cloudlink/internal/liveness"
	"skerry/cloudlink/monitor"
	"skerry/cloudlink/transport"
	"skerry/cloudlink/wire"
)

// LinkConfig says how to keep a connection to a cloud. Addr and TLS of Config
// are needed; of the rest every zero value works.
type LinkConfig struct {
	Config
	// Addrs are all addresses of the cloud, host:port, in the order in which they
	// are dialled; default Addr alone. The one that the cloud answered on last is
	// dialled first; the next ones are dialled beside it while it is silent.
	Addrs []string
	// Found keeps the address that the cloud answered on last over restarts; nil
	// keeps it in memory.
	Found AddressStore
	// Networks tells of changed addresses and routes. nil: the kernel of this
	// machine where it can tell, else nobody.
	Networks transport.Networks
	// Observe is called for every event, one at a time and in order. It must
	// return soon and call no method of the Link but Status and Client.
	Observe func(Event)
	Budget  budget.Budget
	// Minutes keeps the link's minutes over restarts; nil for nobody.
	Minutes monitor.Store
	// Transports allowed; default both, QUIC preferred.
	Transport Transport
	// Random returns numbers in [0, 1) to spread what many boards do at once;
	// default the runtime's.
	Random func() float64
	Clock  func() time.Time // for months and times shown; default time.Now

	// TCPAfter is how long QUIC may go unanswered before TCP is tried beside
	// it, default 1.5 s; QUICEvery how often QUIC is tried again while on TCP,
	// default 5 min.
	TCPAfter, QUICEvery time.Duration
	// LeastWait is how long an answer is waited for at the least before a cloud
	// that keeps the link counts as lost; default 5 s, 10 min at most.
	LeastWait time.Duration
}

// Budget bounds what a metered link may cost in a calendar month (UTC).
type Budget = budget.Budget

// BudgetStatus is how a month's budget stands.
type BudgetStatus = budget.Status

// AddressStore remembers where a cloud answered last.
type AddressStore interface {
	// LastAddress returns it as host:port, "" where none is known.
	LastAddress() (string, error)
	SaveAddress(addr string) error
}

// Transport names what carries a connection.
type Transport string

const (
	TransportAny  Transport = ""
	TransportQUIC Transport = "quic"
	TransportTCP  Transport = "tcp" // TLS 1.3 over TCP, for networks that block UDP
)

// Link keeps a connection to a cloud: it dials, notices that a connection died,
// dials again and moves the sessions over. Its methods may be called
// concurrently.
type Link struct {
	conf   LinkConfig
	log    *slog.Logger
	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup
	meter  *budget.Meter
	judge  *judge

	// Each holds one token.
	kick   chan struct{} // a user wants a dial now
	moved  chan struct{} // addresses or routes have changed
	demand chan struct{} // the cloud is wanted, for pause
	owing  chan struct{} // likewise, for watch
	leave  chan struct{} // the cloud is about to stop

	wanted atomic.Int64 // when the cloud was last wanted, Unix ns
	waits  liveness.Waits
	small  atomic.Bool // larger packets did not get through

	observing sync.Mutex // held while Observe runs

	mu       sync.Mutex // guards all following
	client   *Client    // nil while down
	sessions map[wire.SessionID]*Session
	status   LinkStatus
	found    map[string]netip.AddrPort // by name, where the cloud answered by QUIC last
	addrs    []string                  // of the cloud, the one that it answered on last first
	report   func() wire.Status
	offer    wire.Offer    // the newest that the cloud has made
	reported time.Time     // when the last status was sent
	ever     bool          // there was a connection before
	grace    time.Duration // of a cloud that is about to stop, else 0
	changed  chan struct{} // closed when client changes, and made anew
	closed   bool
	moves    moves // between the workers of a cloud
}

// NewLink starts dialling in the background and returns at once.
func NewLink(conf LinkConfig) *Link {
	conf = conf.withDefaults()
	l := &Link{
		conf: conf, log: conf.Log, meter: budget.NewMeter(conf.Budget, conf.Clock, conf.Log), sessions: map[wire.SessionID]*Session{},
		found: map[string]netip.AddrPort{},
		kick:  make(chan struct{}, 1), moved: make(chan struct{}, 1), demand: make(chan struct{}, 1),
		owing: make(chan struct{}, 1), leave: make(chan struct{}, 1), changed: make(chan struct{}),
		waits: liveness.Waits{Least: conf.LeastWait},
	}
	l.judge = newJudge(l.markDemand)
	l.ctx, l.cancel = context.WithCancel(context.Background())
	l.status.Since = conf.Clock()
	l.rememberAddresses()
	l.wg.Go(l.run)
	l.wg.Go(l.watchNetworks)
	l.wg.Go(func() { l.judge.run(l.ctx, l) })
	return l
}

func (c LinkConfig) withDefaults() LinkConfig {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Random == nil {
		c.Random = rand.Float64
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Networks == nil {
		c.Networks = transport.KernelNetworks()
	}
	c.TCPAfter = cmp.Or(c.TCPAfter, tcpAfter)
	c.QUICEvery = cmp.Or(c.QUICEvery, quicEvery)
	c.Idle = cmp.Or(c.Idle, liveness.Idle(c.Random()))
	c.Handshake = cmp.Or(c.Handshake, linkHandshake)
	return c
}

// Client returns the connection of the moment, nil while there is none.
func (l *Link) Client() *Client {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.client
}

// Retry dials at once if the link is down, as when a user asks for it.
func (l *Link) Retry() {
	token(l.kick)
}

// SetStatus gives the source of the status that the cloud gets at most every
// five minutes, however often the link is lost meanwhile. The link fills in the
// bytes of the month and the transport, and cuts what is too long.
func (l *Link) SetStatus(report func() wire.Status) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.report = report
}

// Offer is the update that the cloud has told of last; without a version it offers none. It
// is kept while the link is down.
func (l *Link) Offer() wire.Offer {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.offer
}

func (l *Link) offered(o wire.Offer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.offer = o
}

// Close ends every session and the connection, and waits for them.
func (l *Link) Close() error {
	l.cancel()
	l.wg.Wait()
	return nil
}
