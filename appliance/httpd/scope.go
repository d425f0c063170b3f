package httpd

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// Scope is what a key is for.
type Scope string

// The scopes. What needs none is open to every key.
const (
	ScopeAsk   Scope = "ask"   // questions, and the sessions that the key has made
	ScopeRead  Scope = "read"  // the whole status, the log, everybody's sessions
	ScopeAdmin Scope = "admin" // everything: control, power, models, everybody's sessions
)

// Scopes of a key.
type Scopes []Scope

// ParseScopes reads names with commas between them.
func ParseScopes(s string) (all Scopes, err error) {
	for name := range strings.SplitSeq(s, ",") {
		if scope := Scope(strings.TrimSpace(name)); !slices.Contains(all, scope) {
			all = append(all, scope)
		}
	}
	return all, all.check()
}

func (s Scopes) check() error {
	if len(s) == 0 {
		return errors.New("no scope: give ask, read or admin, or several with commas")
	}
	for _, scope := range s {
		switch scope {
		case ScopeAsk, ScopeRead, ScopeAdmin:
		default:
			return fmt.Errorf("there is no scope %q: give ask, read or admin, or several with commas", string(scope))
		}
	}
	return nil
}

// String has commas between them.
func (s Scopes) String() string {
	var names []string
	for _, scope := range s {
		names = append(names, string(scope))
	}
	return strings.Join(names, ",")
}

// Allow says whether they suffice for what needs one; "" needs none.
func (s Scopes) Allow(need Scope) bool {
	return need == "" || slices.Contains(s, need) || slices.Contains(s, ScopeAdmin)
}

// InForce are the key's scopes; one of before there were any may ask.
func (k Key) InForce() Scopes {
	if k.Scopes == nil {
		return Scopes{ScopeAsk}
	}
	return k.Scopes
}

// allowed says whether the caller's key is for the request; else it is answered
// (RFC 6750, section 3.1).
func (g *Guard) allowed(w http.ResponseWriter, r *http.Request, caller *Caller) bool {
	need := g.scope(r)
	if caller.Allows(need) {
		return true
	}
	w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="skerry", error="insufficient_scope", scope="%s"`, need))
	refuse(w, r, http.StatusForbidden, "insufficient_scope", fmt.Sprintf("this wants a key of scope %s, and %s is of %s: skerry key scope %[2]s %[3]s,%[1]s, on the board, makes it one",
		need, caller.Key, caller.Scopes))
	return false
}
