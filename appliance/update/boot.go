package update

// Slot is one of the two places that a version can be in.
type Slot string

// The slots.
const (
	A Slot = "a"
	B Slot = "b"
)

// Other is the slot that s is not.
func (s Slot) Other() Slot {
	if s == A {
		return B
	}
	return A
}

func (s Slot) valid() bool { return s == A || s == B }

// Running is what was booted.
type Running struct {
	Slot Slot
	// Trial is set where the next boot takes the other slot, unless this one is kept.
	Trial bool
}

// Boot is what chooses the slot. Every method may be called again after a power cut in
// its midst, and then has its effect.
type Boot interface {
	// Running is what was booted.
	Running() (Running, error)
	// Disarm has every boot take the slot that idle is not, whatever was left of an
	// earlier update.
	Disarm(idle Slot) error
	// Arm has the next boot take idle, once, and every later one the other slot. The
	// version is shown to people. The next boot may have to be asked for by reboot, an
	// argument of reboot(2), which is empty where any restart will do.
	Arm(idle Slot, version string) (reboot string, err error)
	// Keep has every boot from now on take slot, which is the one that runs.
	Keep(slot Slot) error
}
