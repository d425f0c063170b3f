package hidden

import (
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// A buffer holds what was put, in memory for each position once, and frees what is
// dropped.
func TestBufferModel(t *testing.T) {
	const width = 3
	rapid.Check(t, func(t *rapid.T) {
		b, other := NewBuffer(width), NewBuffer(width)
		var model []float32 // of the positions from low on that are kept
		low, next := 0, float32(1)
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				end := len(model) / width
				pos := rapid.IntRange(low, end).Draw(t, "pos")
				rows := make([]float32, width*rapid.IntRange(0, 700).Draw(t, "rows"))
				for i := range rows {
					rows[i], next = next, next+1
				}
				if err := b.Put(pos, rows); err != nil {
					t.Fatal(err)
				}
				model = append(model[:pos*width:pos*width], rows...)
				b.Truncate(len(model) / width)
			},
			"truncate": func(t *rapid.T) {
				pos := rapid.IntRange(low, len(model)/width).Draw(t, "pos")
				b.Truncate(pos)
				model = model[:pos*width]
			},
			"forget": func(t *rapid.T) {
				low = rapid.IntRange(low, len(model)/width).Draw(t, "pos")
				b.Forget(low)
			},
			"": func(t *rapid.T) {
				end := len(model) / width
				var got []float32
				for pos, rows := range b.Runs(low, end) {
					if pos != low+len(got)/width {
						t.Fatalf("a piece at %d after %d", pos, low+len(got)/width)
					}
					got = append(got, rows...)
				}
				if !slices.Equal(got, model[low*width:]) {
					t.Fatalf("%d values of %d", len(got), len(model)-low*width)
				}
				blocks := (end+BlockRows-1)/BlockRows - low/BlockRows
				if most := blocks * BlockRows * width * 4; b.Bytes() > most {
					t.Fatalf("%d bytes for positions %d to %d, at most %d", b.Bytes(), low, end, most)
				}
				if err := b.CopyTo(other, low, end); err != nil {
					t.Fatal(err)
				}
				b.View(low, end, func(rows []float32) {
					if !slices.Equal(rows, other.Run(low, end)) {
						t.Fatal("a copy differs")
					}
				})
			},
		})
	})
}

// Positions that were never put, and rows that are none, are refused or nothing.
func TestBufferEdges(t *testing.T) {
	b := NewBuffer(4)
	if rows := b.Run(0, 9); rows != nil || b.Bytes() != 0 {
		t.Errorf("%v of an empty buffer of %d bytes", rows, b.Bytes())
	}
	if err := b.Put(0, make([]float32, 5)); !errors.Is(err, ErrWidth) {
		t.Errorf("%v", err)
	}
	if err := b.Put(1000, make([]float32, 4)); err != nil || b.Bytes() != 4*4*BlockRows {
		t.Errorf("%v, %d bytes for a row far up", err, b.Bytes())
	}
	if err := b.Put(10, []float32{1, 2, 3, 4}); err != nil || b.Run(10, 11)[3] != 4 || len(b.Run(10, 10)) != 0 {
		t.Errorf("%v, %v below the others", err, b.Run(10, 11))
	}
	if err := b.CopyTo(NewBuffer(4), 10, 11); err != nil {
		t.Error(err)
	}
	if err := b.CopyTo(NewBuffer(4), 10+BlockRows, 11+BlockRows); err == nil {
		t.Error("a row that is not there was copied")
	}
	p := PendingOf(b, 10, 11)
	if err := p.Append(12, make([]float32, 4)); !errors.As(err, new(*GapError)) {
		t.Errorf("a gap: %v", err)
	}
	if pos, rows := p.Take(5); pos != 10 || rows[0] != 1 || p.Len() != 0 || p.Base() != 11 {
		t.Errorf("took %v at %d, %d left from %d", rows, pos, p.Len(), p.Base())
	}
	if p.Truncate(7); p.Base() != 7 || p.End() != 7 {
		t.Errorf("truncated to %d, %d", p.Base(), p.End())
	}
}
