package hidden

import (
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"

	_ "skerry/build/testseed" // of rapid
)

// model is the plainest backlog: rows by position in a map.
type model struct {
	base, end int
	rows      map[int]float32
}

func fill(pos, n, width int, stamp float32) []float32 {
	rows := make([]float32, n*width)
	for i := range rows {
		rows[i] = stamp + float32(pos+i/width)*1000 + float32(i%width)
	}
	return rows
}

func TestAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		width := rapid.IntRange(1, 5).Draw(t, "width")
		b := New(width)
		m := model{rows: map[int]float32{}}
		stamp := float32(0)
		t.Repeat(map[string]func(*rapid.T){
			"append": func(t *rapid.T) {
				pos := rapid.IntRange(max(0, m.end-6), m.end+2).Draw(t, "pos")
				n := rapid.IntRange(0, 9).Draw(t, "n")
				stamp += 1e6
				err := b.Append(pos, fill(pos, n, width, stamp))
				var gap *GapError
				if pos > m.end {
					if !errors.As(err, &gap) || gap.Have != m.end || gap.Got != pos {
						t.Fatalf("append at %d beyond %d: %v", pos, m.end, err)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				for p := m.end; p < pos+n; p++ {
					m.rows[p] = stamp
				}
				m.end = max(m.end, pos+n)
			},
			"take": func(t *rapid.T) {
				n := rapid.IntRange(0, 12).Draw(t, "max")
				want := min(n, m.end-m.base)
				var rows []float32
				for p := m.base; p < m.base+want; p++ {
					rows = append(rows, fill(p, 1, width, m.rows[p])...)
				}
				pos, got := b.Take(n)
				if pos != m.base || !slices.Equal(got, rows) {
					t.Fatalf("take(%d) at %d: got %v at %d, want %v", n, m.base, got, pos, rows)
				}
				m.base += want
			},
			"truncate": func(t *rapid.T) {
				pos := rapid.IntRange(max(0, m.base-4), m.end+2).Draw(t, "pos")
				b.Truncate(pos)
				m.end = min(m.end, pos)
				m.base = min(m.base, m.end)
			},
			"": func(t *rapid.T) {
				if b.Base() != m.base || b.End() != m.end || b.Len() != m.end-m.base {
					t.Fatalf("have [%d,%d) of %d, want [%d,%d)", b.Base(), b.End(), b.Len(), m.base, m.end)
				}
			},
		})
	})
}

func TestMemoryFollowsQueue(t *testing.T) {
	const width = 64
	b := New(width)
	row := make([]float32, width)
	for pos := range 100_000 {
		if err := b.Append(pos, row); err != nil {
			t.Fatal(err)
		}
		if b.Len() > 10 {
			b.Take(3)
		}
	}
	if got := cap(b.rows) / width; got > 100 {
		t.Fatalf("%d queued rows hold memory for %d", b.Len(), got)
	}
}

func TestEmptiedBacklogFreesMemory(t *testing.T) {
	b := New(1024)
	if err := b.Append(0, make([]float32, 1024*4096)); err != nil {
		t.Fatal(err)
	}
	b.Take(4096)
	if cap(b.rows) != 0 || b.End() != 4096 {
		t.Fatalf("empty backlog at %d holds %d float32", b.End(), cap(b.rows))
	}
}

func TestRefusesPartialRow(t *testing.T) {
	b := New(4)
	if err := b.Append(0, make([]float32, 6)); !errors.Is(err, ErrWidth) {
		t.Fatalf("got %v", err)
	}
	if b.End() != 0 {
		t.Fatalf("a refused append moved the end to %d", b.End())
	}
}
