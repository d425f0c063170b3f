package cloudlink_test

import (
	"errors"
	"net"
	"testing"
	"time"

	"github.com/quic-go/quic-go/testutils/simnet"

	"skerry/cloudlink"
	"skerry/cloudlink/internal/fakestage"
	"skerry/cloudlink/partition"
	"skerry/cloudlink/transport"
	"skerry/cloudlink/wire"
)

// TestAddressesInTurn: where the first address of an enrolment is silent the
// next one is dialled beside it, and from then on the one that answered goes
// first, in this run and in the next.
func TestAddressesInTurn(t *testing.T) {
	const rtt = 100 * time.Millisecond
	inLinkWorld(t, rtt, func(t *testing.T, w *linkWorld) {
		store := &memory{}
		good := w.conf.Addr
		nobody := []string{"192.0.2.8:8", "192.0.2.9:9"}
		elsewhere := func(p simnet.Packet) bool {
			to := p.To.(*net.UDPAddr).IP.String()
			return to == "192.0.2.8" || to == "192.0.2.9"
		}
		w.router.drop.Store(&elsewhere)
		w.conf.Addrs, w.conf.Found = append(nobody, good), store
		before := time.Now()
		l, s := w.link(t)
		if took := time.Since(before); took > 8*time.Second {
			t.Errorf("the third address was answered on after %v", took)
		}
		if st := l.Status(); st.Addr != good || store.address != good {
			t.Errorf("connected to %q, remembered %q", st.Addr, store.address)
		}
		// Lost and found again: where it answered is dialled first.
		w.router.cut.Store(true)
		if _, err := s.Ask(t.Context(), 2, 1); !errors.Is(err, cloudlink.ErrLost) {
			t.Errorf("asked over a link that is cut: %v", err)
		}
		w.router.cut.Store(false)
		before = time.Now()
		w.answer(t, s, 2)
		if took := time.Since(before); took > time.Second {
			t.Errorf("found again after %v", took)
		}
		l.Close()
		before = time.Now()
		again, _ := w.link(t)
		if took := time.Since(before); took > time.Second {
			t.Errorf("the next run found it after %v", took)
		}
		again.Close()
		// An address that is remembered and is none of this enrolment's is not dialled.
		store.address = "192.0.2.8:8"
		w.conf.Addrs = []string{good}
		l, _ = w.link(t)
		l.Close()
	})
}

// TestAddressOfAStranger: a machine with other certificates at the first address,
// as at an address of a home network elsewhere, does not keep the board from the
// next one.
func TestAddressOfAStranger(t *testing.T) {
	t.Parallel()
	strangerTLS, _, err := cloudlink.DevTLS(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := transport.Listen("127.0.0.1:0", strangerTLS)
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	server, client, err := cloudlink.DevTLS(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	ln, err := transport.Listen("127.0.0.1:0", server)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	defer serving(t, toyPartition(t), ln)()
	store := &memory{}
	conf := cloudlink.LinkConfig{
		Config: cloudlink.Config{TLS: client, Device: t.Name(), Epochs: store, Proxy: cloudlink.NoProxy},
		Addrs:  []string{stranger.Addr().String(), ln.Addr().String()}, Found: store,
	}
	l := cloudlink.NewLink(conf)
	defer l.Close()
	for deadline := time.Now().Add(time.Minute); !l.Status().Connected; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%+v", l.Status())
		}
	}
	if st := l.Status(); st.Addr != ln.Addr().String() || st.Refused {
		t.Errorf("%+v", st)
	}
}

func toyPartition(t *testing.T) *partition.Server {
	t.Helper()
	s, err := partition.NewServer(partition.Config{Bundles: []partition.Bundle{{ID: wire.Hash{7}, Stage: fakestage.New(8, 100, 2, 1024, 64)}}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}
