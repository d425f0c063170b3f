package decode

import (
	"time"

	"skerry/appliance/infer"
)

// switchDwell is how long a mode is kept at least.
const switchDwell = 5 * time.Second

// Switch holds the mode that the link allows and changes it at most once in
// Dwell, however often it is asked to.
type Switch struct {
	Dwell time.Duration
	mode  infer.Mode
	at    time.Time // of the last change
}

// Mode returns the mode held.
func (s *Switch) Mode() infer.Mode { return s.mode }

// Request asks for mode m at time now and reports whether the mode has changed.
func (s *Switch) Request(now time.Time, m infer.Mode) bool {
	if m == s.mode || !s.at.IsZero() && now.Sub(s.at) < s.Dwell {
		return false
	}
	s.mode, s.at = m, now
	return true
}
