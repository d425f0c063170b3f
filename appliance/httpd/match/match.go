// Package match reads what the configuration says of origins, host names and
// addresses, for its check and for the listeners alike: what the one accepts is what
// the other obeys.
//
// A * stands for a whole part and nothing smaller: the names below a domain
// (*.example.org), every port (http://localhost:*), every host of a scheme that no
// page of the web has (chrome-extension://*). One that would let every page in is an
// error.
package match

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// errName is of a name that no browser sends.
var errName = errors.New("write the name as browsers send it: letters, digits, - and . (others as xn--...)")

// name checks a host name, in lower case and without a final dot: the labels of a
// DNS name, with underscores, which some networks have.
func name(s string) error {
	if s == "" || len(s) > 253 || strings.Contains("."+s+".", "..") {
		return errName
	}
	if strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.')
	}) {
		return errName
	}
	if last := s[strings.LastIndexByte(s, '.')+1:]; strings.Trim(last, "0123456789") == "" || strings.HasPrefix(last, "0x") {
		// Browsers take what ends in a number for an address (URL Standard, "ends in a
		// number checker").
		if a, err := netip.ParseAddr(s); err != nil || !a.Is4() {
			return errors.New("write the address in full, as 192.168.1.5")
		}
	}
	return nil
}

// pattern is a host name or those below a domain.
type pattern struct {
	name  string // in lower case, without a final dot
	below bool   // the names below it, and not it
}

func parsePattern(s string) (pattern, error) {
	p := pattern{name: strings.ToLower(s)}
	p.name, p.below = strings.CutPrefix(p.name, "*.")
	if strings.Contains(p.name, "*") {
		return p, errors.New("a * must stand for everything before a domain, as in *.example.org")
	}
	if _, err := netip.ParseAddr(p.name); err == nil {
		if p.below {
			return p, errors.New("an address has no subdomains")
		}
		return p, nil
	}
	return p, name(p.name)
}

func (p pattern) match(name string) bool {
	if p.below {
		return len(name) > len(p.name)+1 && strings.HasSuffix(name, "."+p.name)
	}
	return name == p.name
}

// Host is a name under which this machine is reached: NAME, or *.DOMAIN for all below
// a domain. A port counts for nothing.
type Host struct{ pattern }

// ParseHost reads one.
func ParseHost(s string) (Host, error) {
	if h, port, err := net.SplitHostPort(s); err == nil {
		if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			return Host{}, errors.New("give a name alone, as board.example.org")
		}
		s = h
	}
	if s == "*" {
		return Host{}, errors.New("that would accept every name, so that any web page could reach this machine by DNS rebinding: give names, or *.DOMAIN")
	}
	p, err := parsePattern(bareName(s))
	return Host{p}, err
}

// Match says whether it is the name of a Host header, without its port.
func (h Host) Match(name string) bool { return h.match(strings.ToLower(bareName(name))) }

// bareName is a name or address without brackets and the final dot.
func bareName(s string) string {
	if strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") {
		return s[1 : len(s)-1]
	}
	return strings.TrimSuffix(s, ".")
}

// Listen reads an address to listen on, HOST:PORT as package net takes it. A host of *
// is every address of the machine, as is none.
func Listen(s string) (string, error) {
	usage := errors.New("give HOST:PORT, as 127.0.0.1:7537, or :7537 for every address")
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return "", usage
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return "", usage
	}
	if host == "*" {
		host = ""
	}
	if host == "" {
		return net.JoinHostPort(host, port), nil
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return net.JoinHostPort(host, port), nil
	}
	if err := name(strings.ToLower(strings.TrimSuffix(host, "."))); err != nil {
		return "", fmt.Errorf("%q is neither an address nor a name: %w", host, usage)
	}
	return net.JoinHostPort(host, port), nil
}
