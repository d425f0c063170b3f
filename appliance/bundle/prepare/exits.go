package prepare

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// ParseExits reads one or two numbers of blocks, as "10,20"; the empty text is nil. What
// is none is an *ExitsError.
func ParseExits(s string) ([]int, error) {
	if s == "" {
		return nil, nil
	}
	var exits []int
	for e := range strings.SplitSeq(s, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(e))
		if err != nil || n < 1 {
			return nil, exitsErrorf("%q: give one or two block counts of 1 or more, as 10,20", s)
		}
		exits = append(exits, n)
	}
	return exits, nil
}

// ExitsError says that exits were asked for which a model cannot have.
type ExitsError struct{ err error }

func (e *ExitsError) Error() string { return e.err.Error() }

func exitsErrorf(format string, args ...any) error { return &ExitsError{fmt.Errorf(format, args...)} }

// CheckExits refuses exits that a model of so many blocks cannot have, with an
// *ExitsError.
func CheckExits(model string, exits []int, blocks int) error {
	if len(exits) > 2 {
		return exitsErrorf("%d exits: give one or two", len(exits))
	}
	for i, e := range exits {
		if e < 1 || e >= blocks {
			return exitsErrorf("%d is out of range: %s has %d blocks, choose 1 to %d", e, model, blocks, blocks-1)
		}
		if i > 0 && e <= exits[i-1] {
			return exitsErrorf("%d,%d do not ascend: give the earlier one first", exits[i-1], e)
		}
	}
	return nil
}

// QuarterAndHalf are exits at a quarter and at half of the blocks; in a model of two
// blocks it is one exit.
func QuarterAndHalf(blocks int) []int {
	quarter, half := max(1, int(math.Round(float64(blocks)/4))), int(math.Round(float64(blocks)/2))
	if half <= quarter {
		return []int{quarter}
	}
	return []int{quarter, half}
}
