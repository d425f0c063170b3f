package httpd

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"html/template"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	loginPath  = "/login"
	cookieName = "skerry"
	// cookieLife is how long a browser need not ask for the key again.
	cookieLife = 30 * 24 * time.Hour
)

// A browser that has shown a key gets a cookie NAME.EXPIRY.MAC, the MAC keyed by the
// stored hash: nothing is kept of it here, it outlives a restart, it ends with the
// key, and it is no key itself.
func cookieFor(k *Key, expires time.Time) string {
	v := k.Name + "." + strconv.FormatInt(expires.Unix(), 10)
	return v + "." + hex.EncodeToString(macOf(k, v))
}

func macOf(k *Key, value string) []byte {
	m := hmac.New(sha256.New, k.Hash[:])
	m.Write([]byte("skerry cookie " + value))
	return m.Sum(nil)
}

// session finds the key that a cookie was made for.
func (k *Keys) session(cookie string) (key Key, ok bool) {
	value, mac, cut := cutLast(cookie)
	name, expiry, cut2 := cutLast(value)
	sum, err := hex.DecodeString(mac)
	expires, err2 := strconv.ParseInt(expiry, 10, 64)
	if !cut || !cut2 || err != nil || err2 != nil || k.now().Unix() >= expires {
		return Key{}, false
	}
	return k.use(func(keys []Key) *Key {
		i := named(keys, name)
		if i < 0 || !hmac.Equal(sum, macOf(&keys[i], value)) {
			return nil
		}
		return &keys[i]
	})
}

// cutLast cuts at the last dot; names may have some.
func cutLast(s string) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, '.')
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

// login takes the key that was typed into the form.
func (g *Guard) login(w http.ResponseWriter, r *http.Request, caller *Caller) {
	if r.Method != http.MethodPost {
		askKey(w, "/", "")
		return
	}
	c, _ := r.Context().Value(connKey{}).(*conn)
	r.Body = &body{http.MaxBytesReader(w, r.Body, 4096), c} // a stranger's who keeps us waiting makes room
	http.NewResponseController(w).SetReadDeadline(time.Now().Add(10 * time.Second))
	if err := r.ParseForm(); err != nil {
		askKey(w, "/", "The form could not be read. Try again.")
		return
	}
	next := localPath(r.PostForm.Get("next"))
	key, ok := g.keys.Authenticate(strings.TrimSpace(r.PostForm.Get("key")))
	if !ok {
		g.failed.note(caller.Addr)
		askKey(w, next, "This key is unknown.")
		return
	}
	expires := g.now().Add(cookieLife)
	value, ok := g.keys.cookie(key.Name, expires)
	if !ok { // removed meanwhile
		askKey(w, next, "This key is unknown.")
		return
	}
	http.SetCookie(w, &http.Cookie{Name: cookieName, Value: value, Path: "/", Expires: expires,
		HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: r.TLS != nil})
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, next, http.StatusSeeOther)
}

func (k *Keys) cookie(name string, expires time.Time) (string, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	i := named(k.keys, name)
	if i < 0 {
		return "", false
	}
	return cookieFor(&k.keys[i], expires), true
}

// localPath is where a form may send a browser: a path here, never another host.
func localPath(s string) string {
	if !strings.HasPrefix(s, "/") || strings.HasPrefix(s, "//") || strings.ContainsAny(s, "\\\r\n\t") || s == loginPath {
		return "/"
	}
	return s
}

var loginPage = template.Must(template.New("login").Parse(`{{define "title"}}key{{end}}` + pageHead + `
{{with .Wrong}}<p role="alert"><strong>{{.}}</strong></p>{{end}}
<form method="post" action="/login">
<input type="hidden" name="next" value="{{.Next}}">
<label for="key">The key of this device</label>
<input id="key" name="key" type="password" required autofocus autocomplete="current-password" spellcheck="false">
<button>Enter</button>
</form>
<p>Over the network a key is wanted. On the board, <code>skerry key new NAME</code> makes one.</p>
</main></body></html>
`))

// askKey answers with the form.
func askKey(w http.ResponseWriter, next, wrong string) {
	writePage(w, http.StatusUnauthorized, loginPage, struct{ Next, Wrong string }{next, wrong})
}
