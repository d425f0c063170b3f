package node

import (
	"skerry/appliance/decode"
	"skerry/appliance/infer"
	"strings"
	"testing"
)

// Whatever mode is configured and in force, with a cloud and without, there is a
// reason to show.
func TestWhyMode(t *testing.T) {
	for _, link := range []*cloudLink{nil, {addrs: []string{"cloud.example:7537"}}} {
		d := &Node{Board: Board{link: link}}
		for _, wanted := range []infer.Mode{autoMode, decode.Collaborative, decode.Standalone, decode.Unsplit, decode.CloudOnly} {
			for _, mode := range []infer.Mode{wanted, decode.Collaborative, decode.Standalone, decode.Unsplit} {
				why := d.whyMode(string(mode), string(wanted))
				if why == "" || strings.Contains(why, "cloud.example") != (link != nil && wantsCloud(string(wanted))) {
					t.Errorf("%s of %s: %q", mode, wanted, why)
				}
			}
		}
	}
	if why := (&Node{Board: Board{linkErr: errNothing}}).whyMode(autoMode, autoMode); why != errNothing.Error() {
		t.Errorf("a cloud that may see nothing: %q", why)
	}
}
