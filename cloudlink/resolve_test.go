package cloudlink_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go/testutils/simnet"

	"skerry/cloudlink"
)

// names resolves every name to the same addresses.
type names []string

func (n names) LookupNetIP(context.Context, string, string) (out []netip.Addr, err error) {
	for _, a := range n {
		out = append(out, netip.MustParseAddr(a))
	}
	return out, nil
}

// alone has packets to any address but the cloud's and the board's vanish.
func alone(w *linkWorld) {
	drop := func(p simnet.Packet) bool {
		to := p.To.(*net.UDPAddr).IP
		return !to.Equal(net.IPv4(192, 0, 2, 1)) && !to.Equal(net.IPv4(192, 0, 2, 2))
	}
	w.router.drop.Store(&drop)
}

// TestEveryAddressOfAName: where the first address of the cloud's name is silent, the
// next is dialled beside it, and the one that answered goes first from then on.
func TestEveryAddressOfAName(t *testing.T) {
	const cloud, nobody, nobody6 = "192.0.2.2", "192.0.2.77", "2001:db8::77"
	for name, c := range map[string]struct {
		addrs names
		most  time.Duration
	}{
		"one":               {names{cloud}, 300 * time.Millisecond},
		"the second":        {names{nobody, cloud}, time.Second},
		"the other family":  {names{nobody6, cloud}, time.Second},
		"behind two others": {names{nobody6, "2001:db8::78", nobody, "192.0.2.78", cloud}, 3 * time.Second},
		"twice":             {names{nobody, nobody, "::ffff:" + nobody, cloud}, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			inLinkWorld(t, 20*time.Millisecond, func(t *testing.T, w *linkWorld) {
				alone(w)
				w.conf.Addr, w.conf.Resolver = "cloud.example:2", c.addrs
				w.conf.TLS = w.conf.TLS.Clone()
				start := time.Now()
				l, s := w.link(t)
				defer l.Close()
				if took := time.Since(start); took > c.most {
					t.Errorf("the first answer took %v", took)
				}
				w.router.cut.Store(true)
				s.Ask(t.Context(), 100, 1)
				time.Sleep(time.Second)
				w.router.cut.Store(false)
				start = time.Now()
				w.answer(t, s, 2)
				if took := time.Since(start); took > 500*time.Millisecond {
					t.Errorf("the first answer after a cut took %v", took)
				}
			})
		})
	}
	t.Run("a bare client", func(t *testing.T) {
		inLinkWorld(t, 20*time.Millisecond, func(t *testing.T, w *linkWorld) {
			alone(w)
			conf := w.conf.Config
			conf.Addr, conf.Resolver = "cloud.example:2", names{nobody6, nobody, cloud}
			for range 2 { // the second with a ticket
				start := time.Now()
				c, err := cloudlink.Dial(t.Context(), conf)
				if err != nil {
					t.Fatal(err)
				}
				if got := c.RemoteAddr().String(); got != cloud+":2" || time.Since(start) > 2*time.Second {
					t.Errorf("%s after %v", got, time.Since(start))
				}
				time.Sleep(time.Second)
				c.Close()
			}
		})
	})
	t.Run("nobody", func(t *testing.T) {
		inLinkWorld(t, 20*time.Millisecond, func(t *testing.T, w *linkWorld) {
			alone(w)
			conf := w.conf.Config
			conf.Addr, conf.Resolver, conf.Tickets = "cloud.example:2", names{nobody, nobody6}, nil
			_, err := cloudlink.Dial(t.Context(), conf)
			if err == nil || !strings.Contains(err.Error(), nobody) || !strings.Contains(err.Error(), nobody6) {
				t.Error(err)
			}
		})
	})
}

// TestManyAddresses: of a name with many addresses a few are dialled.
func TestManyAddresses(t *testing.T) {
	inLinkWorld(t, 20*time.Millisecond, func(t *testing.T, w *linkWorld) {
		alone(w)
		var many names
		for i := range 40 {
			many = append(many, fmt.Sprintf("192.0.2.%d", 100+i))
		}
		conf := w.conf.Config
		conf.Addr, conf.Resolver = "cloud.example:2", many
		if _, err := cloudlink.Dial(t.Context(), conf); err == nil || strings.Count(err.Error(), "192.0.2.1") > 8 {
			t.Error(err)
		}
	})
}
