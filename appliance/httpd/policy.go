package httpd

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"skerry/appliance/httpd/match"
)

// Policy is what may change while requests are served.
type Policy struct {
	Origins     []string      // that a browser may let read and write, as match.ParseOrigin has them
	Hosts       []string      // names of loopback besides localhost, as match.ParseHost has them
	Body        int64         // bytes a request's body may have
	BodyTimeout time.Duration // in which it is to be there
	Rate        float64       // requests/s of one client over the LAN, 0: no limit
	Burst       int
}

// policy is a Policy at work.
type policy struct {
	Policy
	rates   *rates
	origins []match.Origin
	hosts   []match.Host
	cross   *http.CrossOriginProtection
}

func newPolicy(p Policy, now func() time.Time) (*policy, error) {
	w := &policy{Policy: p, rates: newRates(p.Rate, max(p.Burst, 1), now), cross: http.NewCrossOriginProtection()}
	for _, s := range p.Origins {
		o, err := match.ParseOrigin(s)
		if err != nil {
			return nil, fmt.Errorf("access.origins is %q: %w", s, err)
		}
		w.origins = append(w.origins, o)
	}
	for _, s := range p.Hosts {
		h, err := match.ParseHost(s)
		if err != nil {
			return nil, fmt.Errorf("access.hosts is %q: %w", s, err)
		}
		w.hosts = append(w.hosts, h)
	}
	return w, nil
}

// trusts says whether pages of an Origin header may use the APIs.
func (p *policy) trusts(origin string) bool {
	return origin != "" && slices.ContainsFunc(p.origins, func(o match.Origin) bool { return o.Match(origin) })
}

// crossOrigin refuses what a page of an origin that is not trusted has a browser
// write.
func (p *policy) crossOrigin(r *http.Request) error {
	origin := r.Header.Get("Origin")
	if p.trusts(origin) || p.cross.Check(r) == nil {
		return nil
	}
	if origin == "" || origin == "null" {
		return errors.New("the request came from a page that does not say its origin: open this machine's own page and send the form from there")
	}
	return fmt.Errorf("pages of the origin %.100q may not use this machine: add it to origins in [access]", origin)
}

// ours says whether a Host header names this machine. An address does: a name that
// was rebound to it is what DNS rebinding needs.
func (p *policy) ours(host string) bool {
	name := strings.ToLower(host)
	if h, port, err := net.SplitHostPort(name); err == nil {
		if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			return false
		}
		name = h
	}
	name = strings.TrimSuffix(strings.Trim(name, "[]"), ".")
	if a, err := netip.ParseAddr(name); err == nil && a.Zone() == "" || name == "localhost" || strings.HasSuffix(name, ".localhost") {
		return true
	}
	if slices.ContainsFunc(p.hosts, func(h match.Host) bool { return h.Match(name) }) {
		return true
	}
	return name == "" // HTTP/1.0; no browser
}

// cors answers the browser's question whether an origin may, and tells it so. It
// says whether the request was no more than that question.
func (p *policy) cors(w http.ResponseWriter, r *http.Request) (done bool) {
	origin := r.Header.Get("Origin")
	if origin == "" || len(p.origins) == 0 {
		return false
	}
	h := w.Header()
	h.Add("Vary", "Origin")
	if !p.trusts(origin) {
		return false
	}
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Expose-Headers", "Retry-After, X-Skerry-Session")
	if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
		return false
	}
	h.Set("Access-Control-Allow-Methods", "GET, HEAD, POST, DELETE")
	if want := r.Header.Get("Access-Control-Request-Headers"); want != "" {
		h.Set("Access-Control-Allow-Headers", want)
	}
	if r.Header.Get("Access-Control-Request-Private-Network") == "true" {
		h.Set("Access-Control-Allow-Private-Network", "true")
	}
	h.Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
	return true
}
