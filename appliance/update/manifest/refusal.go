package manifest

import "fmt"

// Reason is why an update is refused.
type Reason string

// Reasons.
const (
	Malformed  Reason = "malformed" // the manifest or its signature cannot be read
	Unsigned   Reason = "unsigned"  // there is no signature
	UnknownKey Reason = "key"       // the signature is of a key that is not pinned
	Forged     Reason = "forged"    // the signature does not belong to the manifest
	WrongBoard Reason = "board"     // it is for another kind of board
	WrongArch  Reason = "arch"      // it is for another architecture
	WrongKind  Reason = "kind"      // it replaces something else
	Expired    Reason = "expired"   // its time is over
	Downgrade  Reason = "downgrade" // it is older than what is installed
	Installed  Reason = "installed" // it is what is installed
	TooOld     Reason = "too old"   // what is installed is older than the update's minimum
)

// Refusal is an update that is not applied, with what to do about it.
type Refusal struct {
	Reason Reason
	What   string
	Remedy string
}

func (r *Refusal) Error() string { return r.What + ": " + r.Remedy }

// Is has errors.Is find a Refusal of the same reason.
func (r *Refusal) Is(target error) bool {
	t, ok := target.(*Refusal)
	return ok && t.Reason == r.Reason
}

func malformed(format string, args ...any) *Refusal {
	return &Refusal{Malformed, "the update's manifest cannot be used: " + fmt.Sprintf(format, args...), "fetch the update again from where it is published"}
}
