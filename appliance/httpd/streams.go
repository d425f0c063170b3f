package httpd

import (
	"fmt"
	"net/http"
	"sync"
)

// streams bounds the requests that end only with their client, over the LAN: of each
// key, and in all, so that this machine's own find a place.
type streams struct {
	most, each int

	mu   sync.Mutex // guards all following
	open map[string]int
	all  int
}

// enter takes one in of a key, or says why not.
func (s *streams) enter(key string) (leave func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.open[key] >= s.each:
		return nil, fmt.Errorf("%s has %d event streams open: close a page, or wait", key, s.each)
	case s.all >= s.most:
		return nil, fmt.Errorf("%d event streams are open over the network: try again in a moment", s.most)
	}
	s.open[key]++
	s.all++
	return sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.all--
		if s.open[key]--; s.open[key] == 0 {
			delete(s.open, key)
		}
	}), nil
}

// stream counts an endless request, or answers it.
func (g *Guard) stream(w http.ResponseWriter, r *http.Request, caller Caller) (leave func(), ok bool) {
	if caller.Via != LAN {
		return func() {}, true
	}
	leave, err := g.streams.enter(caller.Name())
	if err != nil {
		w.Header().Set("Retry-After", "5")
		refuse(w, r, http.StatusTooManyRequests, "rate_limit_exceeded", err.Error())
		return nil, false
	}
	return leave, true
}
