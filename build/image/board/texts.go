package main

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// wellFormed says whether the middle of a public key's line is whole: it is base64, and says
// its type itself first, with a length of four bytes before it, as RFC 4253 has it.
func wellFormed(kind, text string) bool {
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return false
	}
	for i := 0; len(raw) > 0; i++ {
		if len(raw) < 4 {
			return false
		}
		n := binary.BigEndian.Uint32(raw)
		if uint64(n) > uint64(len(raw)-4) || i == 0 && string(raw[4:4+n]) != kind {
			return false
		}
		if raw = raw[4+n:]; len(raw) == 0 {
			return i > 0
		}
	}
	return false
}

// wifi is what a wpa_supplicant.conf says, as far as it is taken over.
type wifi struct {
	country  string
	networks []network
}

type network struct {
	ssid, psk string // psk is empty for an open network
	hidden    bool
	line      int
}

var (
	assignment = regexp.MustCompile(`^([a-z_0-9]+)\s*=\s*(.*)$`)
	aCountry   = regexp.MustCompile(`^[A-Z]{2}$`)
	aHexKey    = regexp.MustCompile(`^[0-9a-fA-F]{64}$`)
)

// parseWiFi reads networks in the format of wpa_supplicant.conf(5). Of it country, and of
// networks ssid, psk, scan_ssid, key_mgmt and priority are known; whatever else is there is
// an error, so that nobody believes it to be in force.
func parseWiFi(text string) (w wifi, err error) {
	var open *network
	n, keyMgmt := 0, ""
	for line := range strings.Lines(strings.TrimPrefix(text, "\ufeff")) {
		n++
		line = strings.TrimSpace(line)
		bad := func(format string, args ...any) (wifi, error) {
			return wifi{}, fmt.Errorf("line %d: %s", n, fmt.Sprintf(format, args...))
		}
		if line == "" || line[0] == '#' {
			continue
		}
		if line == "}" {
			if open == nil {
				return bad("a } without a network={ before it")
			}
			if err := open.check(keyMgmt); err != nil {
				return wifi{}, err
			}
			w.networks, open, keyMgmt = append(w.networks, *open), nil, ""
			continue
		}
		m := assignment.FindStringSubmatch(line)
		if m == nil {
			return bad("%.30q is neither KEY=VALUE nor a }", line)
		}
		key, value := m[1], m[2]
		switch {
		case open == nil && key == "network" && value == "{":
			open = &network{line: n}
		case open == nil && key == "country":
			if w.country = strings.ToUpper(strings.Trim(value, `"`)); !aCountry.MatchString(w.country) {
				return bad("country wants a code of two letters, as DE or US, not %.10q", value)
			}
		case open == nil && (key == "ctrl_interface" || key == "update_config"):
			// Of files for other systems; the board has its own.
		case open == nil:
			return bad("%s is not known here: country=, and network={ with ssid= and psk= are", key)
		case key == "ssid":
			if open.ssid, err = quoted(value); err != nil || open.ssid == "" || len(open.ssid) > 32 {
				return bad(`ssid wants the network's name in quotation marks, of 1 to 32 bytes, as ssid="My network"`)
			}
		case key == "psk":
			if aHexKey.MatchString(value) {
				open.psk = strings.ToLower(value)
			} else if open.psk, err = quoted(value); err != nil || len(open.psk) < 8 || len(open.psk) > 63 {
				return bad(`psk wants the password in quotation marks, of 8 to 63 characters`)
			} else if strings.ContainsFunc(open.psk, func(r rune) bool { return r < ' ' || r > '~' }) {
				return bad(`psk has a character that Wi-Fi passwords do not have, as an umlaut; give the 64 hex digits that wpa_passphrase prints instead`)
			} else {
				open.psk = `"` + open.psk + `"`
			}
		case key == "scan_ssid" && (value == "0" || value == "1"):
			open.hidden = value == "1"
		case key == "key_mgmt" && (value == "NONE" || value == "WPA-PSK" || value == "SAE" || value == "WPA-PSK SAE"):
			keyMgmt = value
		case key == "priority":
		default:
			return bad("%s=%.20s is not known here: ssid, psk, scan_ssid and key_mgmt (NONE, WPA-PSK or SAE) are", key, value)
		}
	}
	switch {
	case open != nil:
		return wifi{}, fmt.Errorf("line %d: network={ has no } after it", open.line)
	case len(w.networks) == 0:
		return wifi{}, errors.New(`there is no network in it: network={ and, on lines of their own, ssid="NAME", psk="PASSWORD" and }`)
	case w.country == "":
		return wifi{}, errors.New("there is no country in it: the law of the land says which channels the Wi-Fi may use: add a line as country=DE")
	}
	return w, nil
}

func (n *network) check(keyMgmt string) error {
	switch {
	case n.ssid == "":
		return fmt.Errorf(`line %d: this network has no ssid="NAME"`, n.line)
	case n.psk == "" && keyMgmt != "NONE":
		return fmt.Errorf(`line %d: this network has no psk="PASSWORD"; for one without a password say key_mgmt=NONE`, n.line)
	case n.psk != "" && keyMgmt == "NONE":
		return fmt.Errorf("line %d: this network has a psk and key_mgmt=NONE, of which only one can be right", n.line)
	}
	return nil
}

// quoted takes the quotation marks off a value.
func quoted(value string) (string, error) {
	if len(value) < 2 || value[0] != '"' || value[len(value)-1] != '"' {
		return "", errors.New("no quotation marks")
	}
	return value[1 : len(value)-1], nil
}

// config is what wpa_supplicant reads. The name is in hex, since it may have any bytes.
func (w wifi) config() string {
	var b strings.Builder
	fmt.Fprintf(&b, "ctrl_interface=/run/wpa_supplicant\ncountry=%s\n", w.country)
	for i, n := range w.networks {
		fmt.Fprintf(&b, "network={\n\tssid=%x\n\tpriority=%d\n", n.ssid, len(w.networks)-i)
		if n.hidden {
			b.WriteString("\tscan_ssid=1\n")
		}
		if n.psk == "" {
			b.WriteString("\tkey_mgmt=NONE\n")
		} else if fmt.Fprintf(&b, "\tpsk=%s\n\tieee80211w=1\n", n.psk); n.psk[0] == '"' {
			b.WriteString("\tkey_mgmt=WPA-PSK SAE\n")
		}
		b.WriteString("}\n")
	}
	return b.String()
}

// parseCode reads an enrolment: the code, which may go over several lines, and perhaps a
// line "may text", "may hidden" or "may nothing".
func parseCode(text string) (code, may string, err error) {
	for line := range strings.Lines(strings.TrimPrefix(text, "\ufeff")) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if value, ok := strings.CutPrefix(strings.ToLower(line), "may "); ok {
			if may = strings.TrimSpace(value); may != "text" && may != "hidden" && may != "nothing" {
				return "", "", fmt.Errorf("may %.20s: say may text, may hidden or may nothing", may)
			}
			continue
		}
		code += strings.ReplaceAll(line, " ", "")
	}
	if code == "" {
		return "", "", errors.New("there is no code in it: put the code here that skerry cloud invite prints")
	}
	if strings.ContainsFunc(code, func(r rune) bool { return r <= ' ' || r > '~' }) || len(code) > 2000 {
		return "", "", errors.New("this is no code of skerry cloud invite: copy the whole of it, and nothing else")
	}
	return code, may, nil
}
