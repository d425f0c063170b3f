package metrics

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"skerry/appliance/status"
)

// probe is what /healthz and /readyz answer.
type probe struct {
	OK    bool         `json:"ok"`
	State status.State `json:"state"`
	Why   string       `json:"why,omitempty"` // it is not, and what to do
}

// healthz says that the daemon is alive: it answers, and can tell its status. What a
// restart would not heal is no reason to say otherwise.
func (m *Metrics) healthz(w http.ResponseWriter, r *http.Request) {
	st := m.status()
	p := probe{OK: st.State != status.Stopping, State: st.State}
	if !p.OK {
		p.Why = "the daemon is stopping"
	}
	p.write(w, r)
}

// readyz says whether a request would be answered, also where a model is loaded for it first.
func (m *Metrics) readyz(w http.ResponseWriter, r *http.Request) {
	st := m.status()
	p := probe{OK: st.CanAnswer(), State: st.State}
	if !p.OK {
		p.Why = whyNot(st)
	}
	p.write(w, r)
}

// whyNot says why a daemon is not ready: what it is doing, or what is wrong and
// what to do about it.
func whyNot(st status.Status) string {
	if st.Unable != "" {
		return st.Unable
	}
	if p := st.Progress; p != nil && p.Share >= 0 {
		return fmt.Sprintf("%s: %.0f %%", p.What, p.Share*100)
	} else if p != nil {
		return p.What
	}
	for _, h := range st.Health {
		if h.Severity == status.Trouble {
			return h.Title + ": " + h.Text + ": " + h.Do
		}
	}
	return string(st.State)
}

func (p probe) write(w http.ResponseWriter, r *http.Request) {
	code := http.StatusOK
	w.Header().Set("Cache-Control", "no-store")
	if !p.OK {
		code = http.StatusServiceUnavailable
		w.Header().Set("Retry-After", "5")
	}
	if strings.Contains(r.Header.Get("Accept"), "json") {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		json.NewEncoder(w).Encode(p)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(code)
	if p.OK {
		fmt.Fprintln(w, "ok")
	} else {
		fmt.Fprintln(w, p.Why)
	}
}
