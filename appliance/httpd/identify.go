package httpd

import (
	"net/http"
	"strings"
)

// identify finds whose key a request has; without one it is answered.
func (g *Guard) identify(w http.ResponseWriter, r *http.Request, caller *Caller) bool {
	if r.URL.Path == loginPath {
		g.login(w, r, caller)
		return false
	}
	var key Key
	var ok bool
	secret := secretOf(r)
	if secret != "" {
		key, ok = g.keys.Authenticate(secret)
	} else if c, err := r.Cookie(cookieName); err == nil {
		key, ok = g.keys.session(c.Value)
	}
	if secret != "" && !ok {
		g.failed.note(caller.Addr)
	}
	switch {
	case ok:
		caller.Key, caller.Scopes = key.Name, key.InForce()
		return true
	case r.Method == http.MethodGet && wantsPage(r):
		askKey(w, r.URL.RequestURI(), "")
	case secret != "":
		refuse(w, r, http.StatusUnauthorized, "invalid_api_key",
			"this API key is unknown: skerry key ls, on the board, lists those that are known")
	default:
		w.Header().Set("WWW-Authenticate", `Bearer realm="skerry"`)
		refuse(w, r, http.StatusUnauthorized, "missing_api_key",
			"an API key is wanted over the network: send Authorization: Bearer KEY; skerry key new NAME, on the board, makes one")
	}
	return false
}

// secretOf is the key that a request carries in its headers. One in the address
// would end up in logs and histories, and is not taken.
func secretOf(r *http.Request) string {
	if _, password, ok := r.BasicAuth(); ok {
		return password
	}
	if scheme, secret, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(secret)
	}
	return r.Header.Get("X-Api-Key")
}
