package transport

import (
	"bytes"
	"encoding/hex"
	"testing"
)

// FuzzSignals feeds the signal stream of a TCP connection.
func FuzzSignals(f *testing.F) {
	var all []byte
	for _, s := range []signal{{signalFin, 3, 0}, {signalReset, 5, 1}, {signalStop, 7, 4}} {
		all = s.append(all)
		f.Add(s.append(nil))
	}
	f.Add(append(signal{signalBye, 3, 2}.append(nil), "bye"...))
	f.Add(append(all, signal{signalBye, 1 << 20, 2}.append(nil)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		c := &muxConn{ends: map[uint32]*muxEnds{}, client: len(b)%2 == 0}
		r := bytes.NewReader(b)
		for {
			at := len(b) - r.Len()
			s, reason, err := readSignal(r)
			if err != nil {
				return
			}
			if again := append(s.append(nil), reason...); !bytes.Equal(again, b[at:len(b)-r.Len()]) {
				t.Fatalf("%s became %s", hex.EncodeToString(b[at:]), hex.EncodeToString(again))
			}
			if s.kind != signalBye && c.applySignal(s) != nil {
				return
			}
			if len(c.ends) > 2*muxStreams+1 {
				t.Fatalf("%d streams remembered", len(c.ends))
			}
		}
	})
}
