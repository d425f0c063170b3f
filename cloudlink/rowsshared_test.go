package cloudlink_test

import (
	"testing"
	"time"

	"skerry/cloudlink"
	"skerry/cloudlink/hidden"
)

// TestSharedRows: a session that shares the rows of whoever computes them keeps none of
// its own, and sends them again all the same when the cloud has lost them.
func TestSharedRows(t *testing.T) {
	const width, positions = 8, 300
	inLinkWorld(t, 20*time.Millisecond, func(t *testing.T, w *linkWorld) {
		l := cloudlink.NewLink(w.conf)
		defer l.Close()
		s, err := l.OpenSession(t.Context(), cloudlink.SessionOptions{Bundle: w.bundle, Width: width, Context: 400})
		if err != nil {
			t.Fatal(err)
		}
		rows := hidden.NewBuffer(width)
		if err := s.Share(rows); err != nil {
			t.Fatal(err)
		}
		computed := make([]float32, width*positions)
		for i := range computed {
			computed[i] = float32(i%17) / 16
		}
		put := func(from int) {
			t.Helper()
			if err := rows.Put(from, computed[from*width:]); err != nil {
				t.Fatal(err)
			}
			for pos, piece := range rows.Runs(from, positions) {
				if err := s.Append(pos, piece); err != nil {
					t.Fatal(err)
				}
			}
		}
		put(0)
		w.answer(t, s, positions-1)
		want, err := s.Ask(t.Context(), positions-1, 1)
		if err != nil {
			t.Fatal(err)
		}
		if st := s.Stats(); st.KeptBytes != 0 || st.Position != positions {
			t.Errorf("%d bytes kept of %d positions", st.KeptBytes, st.Position)
		}
		// Other rows, and then the same again, which a new connection needs once more.
		if err := s.Truncate(100); err != nil {
			t.Fatal(err)
		}
		put(100)
		w.router.cut.Store(true)
		if _, err := s.Ask(t.Context(), positions-1, 1); err == nil {
			t.Error("an answer over a cut")
		}
		w.router.cut.Store(false)
		l.Retry()
		w.answer(t, s, positions-1)
		got, err := s.Ask(t.Context(), positions-1, 1)
		if err != nil || got.Candidates[0] != want.Candidates[0] {
			t.Errorf("%v of the same rows, %v before; %v", got.Candidates, want.Candidates, err)
		}
		own, err := l.OpenSession(t.Context(), cloudlink.SessionOptions{Bundle: w.bundle, Width: width, Context: 400})
		if err != nil {
			t.Fatal(err)
		}
		if err := own.Append(0, computed); err != nil {
			t.Fatal(err)
		}
		if st := own.Stats(); st.KeptBytes != rows.Bytes() {
			t.Errorf("%d bytes of a session's own copy, %d where they are shared", st.KeptBytes, rows.Bytes())
		}
		if err := own.Share(rows); err == nil {
			t.Error("rows are shared by a session that has some")
		}
	})
}
