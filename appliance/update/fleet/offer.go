// Package fleet installs the updates that a board's cloud tells it of, when it may. The
// cloud is believed nothing but where to look: what is installed is signed by a key that the
// board trusts already, is newer than what it has, and is tried as any other update.
package fleet

import (
	"fmt"
	"net/url"
	"runtime"
	"strings"
	"time"

	"skerry/appliance/update/install"
)

// Offer is what the cloud tells.
type Offer struct {
	Number  uint64 // grows with each offer; the same one is not tried again once it has failed
	Version string // "" for none
	URL     string // of the update's directory
	// From and Until bound the time of day in minutes since midnight, by this board's
	// clock; where both are equal any time is right.
	From, Until int
	// Bundle is the id of the model bundle that the update is of, in hexadecimal, "" where it is
	// of the program or the system.
	Bundle string
}

const day = 24 * 60

// Open says whether the offer may be taken at a time.
func (o Offer) Open(at time.Time) bool {
	now := at.Hour()*60 + at.Minute()
	switch {
	case o.From == o.Until:
		return true
	case o.From < o.Until:
		return o.From <= now && now < o.Until
	}
	return now >= o.From || now < o.Until // over midnight
}

// Window is from when until when it may be taken, as "02:00-04:00"; "" for any time.
func (o Offer) Window() string {
	if o.From == o.Until {
		return ""
	}
	return clock(o.From) + "-" + clock(o.Until)
}

func clock(minutes int) string { return fmt.Sprintf("%02d:%02d", minutes/60%24, minutes%60) }

// ParseWindow is the inverse of Window.
func ParseWindow(s string) (from, until int, err error) {
	if s == "" {
		return 0, 0, nil
	}
	a, b, ok := strings.Cut(s, "-")
	for to, text := range map[*int]string{&from: a, &until: b} {
		t, e := time.Parse("15:04", text)
		ok = ok && e == nil && len(text) == 5
		*to = t.Hour()*60 + t.Minute()
	}
	if !ok || from == until {
		return 0, 0, fmt.Errorf("%.40q is no window of the day: write hh:mm-hh:mm, as 02:00-04:00", s)
	}
	return from, until, nil
}

// placeholder in an address stands for what a release calls a board: the architecture, or
// the kind of board of an image.
const placeholder = "{board}"

// CheckURL says what is wrong with the address of an offer.
func CheckURL(address string) error {
	u, err := url.Parse(strings.ReplaceAll(address, placeholder, "x"))
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil {
		return fmt.Errorf("%.200q is no web address of an update: give https://HOST/DIRECTORY, in which %s stands for the architecture, or an image's kind of board", address, placeholder)
	}
	return nil
}

// address is where the update for this board is.
func (o Offer) address(i *install.Installation) string {
	name := runtime.GOARCH
	if i.Whole() {
		name = i.Board
	}
	return strings.ReplaceAll(o.URL, placeholder, name)
}
