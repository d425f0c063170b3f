package infer

import (
	"cmp"
	"slices"
)

// Mode is how tokens are decided.
type Mode string

// Auto leaves the mode to the daemon. It is no mode of an answer.
const Auto Mode = "auto"

// ModeInfo is what is told of a mode: by flags and their help, by the configuration, the
// page and the metrics.
type ModeInfo struct {
	Name     Mode
	Help     string   // a half-sentence on one line
	Cloud    bool     // it asks a cloud partition
	Baseline bool     // the other modes are measured against it
	Served   bool     // the daemon can be configured for it
	Sources  []Source // that its tokens may have, in the order in which people read them
}

var modes []ModeInfo

// AddMode makes a mode known. Package decode does so for each that it has, before main
// begins.
func AddMode(m ModeInfo) {
	modes = append(modes, m)
	slices.SortFunc(modes, func(a, b ModeInfo) int {
		if a.Baseline != b.Baseline {
			if b.Baseline {
				return -1
			}
			return 1
		}
		return cmp.Compare(a.Name, b.Name)
	})
}

// Modes are those that this program has: the baselines last, else by name. A program, or a
// test, that is not linked from package decode has none.
func Modes() []ModeInfo { return modes }
