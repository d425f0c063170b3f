package access

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Policy is what may change while requests are served.
type Policy struct {
	Origins     []string      // that a browser may let read and write: "http://localhost:3000"
	Hosts       []string      // names of loopback besides localhost
	Body        int64         // bytes a request's body may have
	BodyTimeout time.Duration // in which it is to be there
	Rate        float64       // requests/s of one client over the LAN, 0: no limit
	Burst       int
}

// policy is a Policy at work.
type policy struct {
	Policy
	rates   *rates
	origins map[string]bool
	cross   *http.CrossOriginProtection
}

func newPolicy(p Policy, now func() time.Time) (*policy, error) {
	w := &policy{Policy: p, rates: newRates(p.Rate, max(p.Burst, 1), now), origins: map[string]bool{}, cross: http.NewCrossOriginProtection()}
	for _, o := range p.Origins {
		o = strings.ToLower(o)
		if err := w.cross.AddTrustedOrigin(o); err != nil {
			return nil, fmt.Errorf("access.origins %q: %w", o, err)
		}
		w.origins[o] = true
	}
	return w, nil
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
	for _, h := range p.Hosts {
		if strings.EqualFold(h, name) {
			return true
		}
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
	if !p.origins[strings.ToLower(origin)] {
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
