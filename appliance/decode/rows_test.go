package decode

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"skerry/appliance/infer"
	"skerry/cloudlink/hidden"
)

// sharing is a cloud that reads the session's rows.
type sharing struct {
	fakeCloud
	rows *hidden.Buffer
}

func (c *sharing) Share(rows *hidden.Buffer) error {
	c.rows = rows
	return nil
}

// TestRowsAreKeptOnce: the hidden states of N positions take N times the width of a
// row, once, whoever may want them: the cloud again, the mid stage's backlog, the rest of
// the model. What is forgotten takes nothing.
func TestRowsAreKeptOnce(t *testing.T) {
	for name, withCloud := range map[string]bool{"a cloud": true, "alone": false} {
		virtual(t, func(t *testing.T, board func(Cloud) *fakeBoard) {
			var cloud Cloud
			c := &sharing{fakeCloud: fakeCloud{answer: func(int) (time.Duration, int32, error) { return time.Millisecond, cloudSays, nil }}}
			o := Options{OnLoss: infer.GoAlone, Mode: Standalone, IgnoreEnd: true, MaxTokens: 500, Thresholds: []float64{0.5}}
			if withCloud {
				cloud, o.Mode = c, Collaborative
			}
			b := board(cloud)
			b.exit.sure = func() bool { return true } // so that the mid stage computes nothing
			prompt := slices.Repeat([]int32{cloudSays}, 1500)
			if _, err := b.Generate(t.Context(), prompt, o, nil); err != nil {
				t.Fatal(err)
			}
			n := b.head
			blocks := (n + hidden.BlockRows - 1) / hidden.BlockRows
			if got, want := b.Session.rows.buffer.Bytes(), blocks*hidden.BlockRows*fakeWidth*4; got != want {
				t.Errorf("%s: %d bytes for %d positions, want %d", name, got, n, want)
			}
			if _, shared := b.Session.mid.queue.(*hidden.Pending); !shared || b.Session.mid.queue.Len() != n {
				t.Errorf("%s: the mid stage's backlog of %d of %d positions is a copy", name, b.Session.mid.queue.Len(), n)
			}
			if withCloud && (c.rows != b.Session.rows.buffer || c.end != n) {
				t.Errorf("%s: the cloud has another copy, or %d rows of %d", name, c.end, n)
			}
			if err := b.Session.mid.catchUpAll(t.Context()); err != nil || b.mid.rows != n {
				t.Errorf("%s: the mid stage caught up %d of %d rows: %v", name, b.mid.rows, n, err)
			}
			if err := b.Truncate(300); err != nil || b.Session.rows.buffer.Bytes() != 2*hidden.BlockRows*fakeWidth*4 {
				t.Errorf("%s: %d bytes for 300 positions, %v", name, b.Session.rows.buffer.Bytes(), err)
			}
			synctest.Wait()
		})
	}
}
