package bundle

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// DefaultExits puts two exits as near to 1/3 and 2/3 of the blocks as the
// model's period allows, or one where there is no room for two, or none.
func (m *Model) DefaultExits() []int {
	third := float64(m.Blocks) / 3
	first := m.firstExits()
	if len(first) == 0 {
		return nil
	}
	e1 := nearest(first, third)
	second := m.exitsAfter(e1)
	if len(second) == 0 {
		return []int{e1}
	}
	return []int{e1, nearest(second, 2*third)}
}

// minSlice is how many blocks a stage needs: with sliding windows, one that sees
// everything, without which llama.cpp aborts.
func (m *Model) minSlice() int {
	if m.window {
		return m.Period
	}
	return 1
}

// firstExits lists what the split point may be.
func (m *Model) firstExits() []int {
	var s []int
	for e := m.Period; e <= m.Blocks-m.minSlice(); e += m.Period {
		s = append(s, e)
	}
	return s
}

// exitsAfter lists what may follow an exit at e1.
func (m *Model) exitsAfter(e1 int) []int {
	var s []int
	for e := e1 + m.Period; e < m.Blocks; e += m.Period {
		s = append(s, e)
	}
	return s
}

func nearest(exits []int, want float64) int {
	return slices.MinFunc(exits, func(a, b int) int {
		da, db := math.Abs(float64(a)-want), math.Abs(float64(b)-want)
		switch {
		case da < db:
			return -1
		case da > db:
			return 1
		}
		return 0
	})
}

// CheckExits checks exits chosen by the user, or by default.
func (m *Model) CheckExits(exits []int) error {
	first := m.firstExits()
	if m.Blocks >= 2 && len(first) == 0 {
		return fmt.Errorf("a %s of %d blocks cannot be split: its blocks repeat every %d, use a deeper one", m.Architecture, m.Blocks, m.Period)
	}
	if err := CheckExits(exits, m.Blocks); err != nil {
		return err
	}
	for i, e := range exits {
		valid := first
		if i > 0 {
			valid = m.exitsAfter(exits[0])
		}
		if slices.Contains(valid, e) {
			continue
		}
		if e%m.Period != 0 {
			return fmt.Errorf("exit %d is off the period: the blocks of %s repeat every %d, %s", e, m.Architecture, m.Period, advise(valid, e))
		}
		return fmt.Errorf("exit %d leaves %d blocks to the cloud, %s needs %d there: %s", e, m.Blocks-e, m.Architecture, m.minSlice(), advise(valid, e))
	}
	return nil
}

// advise names the valid exits on either side of e.
func advise(valid []int, e int) string {
	at, _ := slices.BinarySearch(valid, e)
	var near []string
	for _, v := range valid[max(0, at-1):min(len(valid), at+1)] {
		near = append(near, fmt.Sprint(v))
	}
	if len(near) == 0 {
		return "give one exit"
	}
	return "give " + strings.Join(near, " or ")
}

// CheckExits checks what holds for every model of n blocks.
func CheckExits(exits []int, n int) error {
	if n < 2 {
		return fmt.Errorf("a model of %d block cannot be split: use a deeper one", n)
	}
	if len(exits) < 1 || len(exits) > 2 {
		return fmt.Errorf("%d exits, one or two are possible: give --exits a or a,b", len(exits))
	}
	for i, e := range exits {
		if e < 1 || e >= n {
			return fmt.Errorf("exit %d is out of range: give exits from 1 to %d for %d blocks", e, n-1, n)
		}
		if i > 0 && e <= exits[i-1] {
			return fmt.Errorf("exits %d,%d do not ascend: give the earlier one first", exits[i-1], e)
		}
	}
	return nil
}
