package main

import (
	"strings"
	"testing"

	"skerry/appliance/decode"
)

// Whatever mode is configured and in force, with a cloud and without, there is a
// reason to show.
func TestWhyMode(t *testing.T) {
	for _, link := range []*daemonLink{nil, {addr: "cloud.example:7537"}} {
		d := &daemon{link: link}
		for _, wanted := range []decode.Mode{autoMode, decode.Collaborative, decode.Standalone, decode.Unsplit, decode.CloudOnly} {
			for _, mode := range []decode.Mode{wanted, decode.Collaborative, decode.Standalone, decode.Unsplit} {
				why := d.whyMode(string(mode), string(wanted))
				if why == "" || strings.Contains(why, "cloud.example") != (link != nil && wantsCloud(string(wanted))) {
					t.Errorf("%s of %s: %q", mode, wanted, why)
				}
			}
		}
	}
	if why := (&daemon{linkErr: errNothing}).whyMode(autoMode, autoMode); why != errNothing.Error() {
		t.Errorf("a cloud that may see nothing: %q", why)
	}
}

// A mode that asks a cloud, and none there: the daemon starts all the same, and is
// alone.
func TestServeCollaborativeWithoutACloud(t *testing.T) {
	s := startServing(t, tinyBundle(t), t.TempDir(), "--mode", "collaborative")
	awaitReady(t, s.socket)
	q := newQuestion("", 5)
	s.ask(t, q, 0)
	if q.truth.Mode != string(decode.Standalone) || q.truth.Asks != 0 {
		t.Errorf("%+v", q.truth)
	}
}
