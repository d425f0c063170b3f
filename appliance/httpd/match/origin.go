package match

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Origin is an origin as a browser's Origin header has it (RFC 6454, section 7), or
// several by a *.
type Origin struct {
	scheme string
	host   string   // of a scheme that is not the web's
	names  pattern  // of http and https
	any    bool     // every host of the scheme
	port   portSpec // none: the scheme's own
}

// portSpec is a number as text, "" for the scheme's own and "*" for every one.
type portSpec = string

// ports that the schemes of the web have where none is named, and browsers leave out.
var ports = map[string]string{"http": "80", "https": "443"}

// errOrigin is of what has not the form of an origin.
var errOrigin = errors.New("give SCHEME://HOST[:PORT] and no more, as http://localhost:3000")

// opaque are schemes whose pages have no origin that could be told from others'.
var opaque = map[string]string{
	"file": "a page that was opened from a file says null, as many others can: serve it over http",
	"data": "its pages say null, as many others can", "blob": "a page's origin is that of what made it: give that",
	"about": "its pages say null, as many others can", "javascript": "no page has it",
	"ws": "a page's own scheme is http or https", "wss": "a page's own scheme is http or https", "ftp": "no page has it",
}

// ParseOrigin reads an origin of the configuration: http://localhost:3000,
// chrome-extension://ID, app://NAME; with *, https://*.example.org (every name below),
// http://localhost:* (every port) and chrome-extension://* (every host).
func ParseOrigin(s string) (Origin, error) {
	switch s {
	case "*":
		return Origin{}, errors.New("that would let every page of the web use this machine: name the origins, as http://localhost:3000, or chrome-extension://* for all of a scheme")
	case "null":
		return Origin{}, errors.New("any page can send the origin null: serve the page over http, and give that origin")
	}
	o, err := parseOrigin(s)
	if err != nil {
		return o, err
	}
	if why := opaque[o.scheme]; why != "" {
		return o, errors.New(why)
	}
	if o.any && ports[o.scheme] != "" {
		return o, fmt.Errorf("that would let every page of the web use this machine: name the hosts, as %s://localhost:* or %[1]s://*.example.org", o.scheme)
	}
	return o, nil
}

// parseOrigin reads an origin of either side, so that both are written alike.
func parseOrigin(s string) (o Origin, err error) {
	scheme, rest, ok := strings.Cut(s, "://")
	if o.scheme = strings.ToLower(scheme); !ok || !isScheme(o.scheme) || rest == "" {
		return o, errOrigin
	}
	host, port, err := cutPort(rest)
	if err != nil {
		return o, err
	}
	if o.port = port; o.port == ports[o.scheme] {
		o.port = ""
	}
	if o.any = host == "*"; o.any {
		return o, nil
	}
	if ports[o.scheme] != "" {
		o.names, err = parseWebHost(host)
		return o, err
	}
	if o.host = strings.ToLower(host); o.host == "" || strings.ContainsFunc(o.host, forbidden) {
		return o, errOrigin
	}
	if strings.Contains(o.host, "*") {
		return o, fmt.Errorf("a * stands for every host, as in %s://*", o.scheme)
	}
	return o, nil
}

func parseWebHost(host string) (pattern, error) {
	if strings.HasPrefix(host, "[") {
		a, err := netip.ParseAddr(strings.TrimSuffix(host[1:], "]"))
		if err != nil || a.Zone() != "" || !a.Is6() {
			return pattern{}, errOrigin
		}
		return pattern{name: a.String()}, nil
	}
	if host == "" || strings.ContainsFunc(host, func(r rune) bool { return r < 0x80 && forbidden(r) }) {
		return pattern{}, errOrigin
	}
	return parsePattern(host) // which says of other letters how they are written
}

// cutPort splits the host from a port, which may be missing.
func cutPort(s string) (host, port string, err error) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 || strings.HasSuffix(s, "]") {
		return s, "", nil
	}
	host, port = s[:i], s[i+1:]
	if port == "" || port == "*" {
		return host, port, nil
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return "", "", errOrigin
	}
	return host, strconv.FormatUint(n, 10), nil
}

func isScheme(s string) bool {
	return s != "" && s[0] >= 'a' && s[0] <= 'z' && !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '+' || r == '-' || r == '.')
	})
}

// forbidden are characters that no host has (URL Standard, "forbidden host code
// point"), and those that a browser would write in another way.
func forbidden(r rune) bool {
	return r <= ' ' || r >= 0x7f || strings.ContainsRune("#/:<>?@[\\]^|\"`{}", r)
}

// Match says whether an Origin header is one of o's.
func (o Origin) Match(header string) bool {
	h, err := parseOrigin(header)
	switch {
	case err != nil || h.any || h.names.below || h.port == "*" || h.scheme != o.scheme:
		return false
	case o.port != "*" && o.port != h.port:
		return false
	case o.any:
		return true
	case ports[o.scheme] != "":
		return o.names.match(h.names.name)
	}
	return o.host == h.host
}
