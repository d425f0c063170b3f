package decode

import "time"

// switchDwell is how long a mode is kept at least.
const switchDwell = 5 * time.Second

// Switch holds the mode that the link allows and changes it at most once in
// Dwell, however often it is asked to.
type Switch struct {
	Dwell time.Duration
	mode  Mode
	at    time.Time // of the last change
}

// Mode returns the mode held.
func (s *Switch) Mode() Mode { return s.mode }

// Turn asks for mode m at time now and reports whether the mode has changed.
func (s *Switch) Turn(now time.Time, m Mode) bool {
	if m == s.mode || !s.at.IsZero() && now.Sub(s.at) < s.Dwell {
		return false
	}
	s.mode, s.at = m, now
	return true
}
