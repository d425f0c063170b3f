package httpd

import (
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Guard is the handler before all others.
type Guard struct {
	keys    *Keys
	next    http.Handler
	now     func() time.Time
	endless func(*http.Request) bool
	uploads func(*http.Request) bool
	scope   func(*http.Request) Scope
	streams *streams
	failed  *failures
	policy  atomic.Pointer[policy]

	stopping context.Context // ends when the server begins to shut down
	stop     context.CancelFunc

	running sync.RWMutex // read-locked by each request
	closed  bool         // guarded by running: no more requests
}

// New puts a guard before next. Requests over a listener of Listen are known for
// what they are; all others are the LAN's.
func New(o Options, next http.Handler) (*Guard, error) {
	o = o.withDefaults()
	g := &Guard{keys: o.Keys, next: next, now: o.Now, endless: o.Endless, uploads: o.Uploads, scope: o.Scope,
		streams: &streams{most: o.Streams, each: o.ClientStreams, open: map[string]int{}}, failed: newFailures(o.Log)}
	g.stopping, g.stop = context.WithCancel(context.Background())
	return g, g.SetPolicy(o.Policy)
}

// SetPolicy changes the policy for the requests that come after.
func (g *Guard) SetPolicy(p Policy) error {
	w, err := newPolicy(p, g.now)
	if err != nil {
		return err
	}
	g.policy.Store(w)
	return nil
}

type connKey struct{}

func (g *Guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.running.RLock()
	defer g.running.RUnlock()
	if g.closed {
		w.Header().Set("Retry-After", "5")
		refuse(w, r, http.StatusServiceUnavailable, "stopping", "the daemon is stopping: try again in a moment")
		return
	}
	caller := Caller{Via: LAN}
	c, _ := r.Context().Value(connKey{}).(*conn)
	if c != nil {
		c.begin()
		defer c.end()
		caller = Caller{Via: c.via, Addr: c.addr}
	}
	// A page in somebody else's frame is one whose buttons they press.
	w.Header().Set("X-Frame-Options", "DENY")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	// With no-referrer a browser would send the page's own forms with Origin: null
	// (Fetch Standard, "append a request Origin header").
	w.Header().Set("Referrer-Policy", "same-origin")
	p := g.policy.Load()
	if !g.pass(w, r, p, &caller) {
		return
	}
	if c != nil && (caller.Key != "" || caller.Via != LAN) {
		c.know()
	}
	ctx := WithCaller(r.Context(), caller)
	if g.endless(r) {
		leave, ok := g.stream(w, r, caller)
		if !ok {
			return
		}
		defer leave()
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(g.stopping, cancel)()
	}
	r = r.WithContext(ctx)
	switch {
	case r.Body == nil || r.Body == http.NoBody:
	case g.uploads(r):
		r.Body = &upload{body{r.Body, c}, http.NewResponseController(w), p.BodyTimeout}
	case !boundBody(w, r, p, c):
		return
	}
	g.next.ServeHTTP(w, r)
}

// close waits for the requests there are and refuses more.
func (g *Guard) close() {
	g.stop()
	g.running.Lock()
	g.closed = true
	g.running.Unlock()
	g.failed.close()
}

// pass lets a request in, or answers it. It fills in the caller's key.
func (g *Guard) pass(w http.ResponseWriter, r *http.Request, p *policy, caller *Caller) bool {
	if caller.Via == LAN {
		if wait, ok := p.rates.allow(clientOf(caller.Addr)); !ok {
			w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
			refuse(w, r, http.StatusTooManyRequests, "rate_limit_exceeded",
				fmt.Sprintf("too many requests: at most %g per second; try again in %.1f s", p.Rate, wait.Seconds()))
			return false
		}
	}
	if r.URL.Path == "/healthz" && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
		return true
	}
	if caller.Via == Loopback && !p.ours(r.Host) {
		refuse(w, r, http.StatusForbidden, "host_not_allowed",
			fmt.Sprintf("the name %.100q is not this machine's: use localhost, or add the name to hosts of [access]", r.Host))
		return false
	}
	if caller.Via != Socket {
		if p.cors(w, r) {
			return false
		}
		if err := p.crossOrigin(r); err != nil {
			refuse(w, r, http.StatusForbidden, "origin_not_allowed", err.Error())
			return false
		}
	}
	return caller.Via != LAN || g.identify(w, r, caller) && g.allowed(w, r, caller)
}

// boundBody bounds the size and the time of a body. One that is announced as too
// large is answered.
func boundBody(w http.ResponseWriter, r *http.Request, p *policy, c *conn) bool {
	// net/http lifts it once the body is read, so that it bounds no answer.
	http.NewResponseController(w).SetReadDeadline(time.Now().Add(p.BodyTimeout))
	if r.ContentLength <= p.Body {
		r.Body = &body{http.MaxBytesReader(w, r.Body, p.Body), c}
		return true
	}
	// To hit a limit has net/http wait for the client to read the answer.
	(&body{http.MaxBytesReader(w, r.Body, 0), c}).Read(make([]byte, 1))
	refuse(w, r, http.StatusRequestEntityTooLarge, "request_too_large",
		fmt.Sprintf("the request has %d bytes, and the limit is %d (body in [limits])", r.ContentLength, p.Body))
	return false
}

// body of a request. While it is read it is the client who keeps the connection
// open.
type body struct {
	io.ReadCloser
	conn *conn
}

func (b *body) Read(p []byte) (int, error) {
	if b.conn != nil {
		b.conn.end()
		defer b.conn.begin()
	}
	return b.ReadCloser.Read(p)
}

// upload is the body of a request that brings a file: each piece of it has its time.
type upload struct {
	body
	control *http.ResponseController
	timeout time.Duration
}

func (u *upload) Read(p []byte) (int, error) {
	u.control.SetReadDeadline(time.Now().Add(u.timeout))
	return u.body.Read(p)
}
