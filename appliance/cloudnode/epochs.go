package cloudnode

import (
	"math"
	"time"

	"skerry/storage"
)

// A board numbers its connections upwards: one a connection, at most 128 more
// each time its program starts, a past number of this cloud and one when it has
// forgotten its own, and beside another program of the same board the
// microseconds of its clock. RaiseEpoch takes what such a board can have come to,
// with a wide margin, and refuses what would leave it too few numbers to go on
// with: whoever holds the key of a board for a minute would else keep it out for
// good.
const (
	// epochSlack and epochsPerSecond are how far a board may be above where it
	// was: a program that starts once a second uses 128 numbers a second, and
	// takes a year for the slack alone, whatever the clock of the cloud says.
	epochSlack      = 1 << 32
	epochsPerSecond = 1 << 20
	// clockSlack is how far ahead of the cloud's clock a board's may be, in µs.
	clockSlack = 100 * 365 * 24 * 60 * 60 * 1e6
	// firstEpochs bounds the first number of a key, which may have had other
	// clouds before this one.
	firstEpochs = 1 << 61
)

// epochLine is where the numbers of a device were at a time: its later ones may
// lie as far above as time has passed.
type epochLine struct {
	Version int       `cbor:"0,keyasint,omitempty"`
	Base    uint64    `cbor:"1,keyasint"`
	Since   time.Time `cbor:"2,keyasint"`
}

// above returns the highest number within reason.
func (l epochLine) above(now time.Time) uint64 {
	passed := max(now.Sub(l.Since), 0)
	room := uint64(epochSlack + epochsPerSecond*passed.Seconds()) // a Duration ends at 292 years
	return l.Base + min(room, math.MaxUint64-l.Base)
}

// next returns the line for a device whose highest number is to be epoch, and
// false when that is out of reach.
func (l epochLine) next(highest, epoch uint64, now time.Time) (epochLine, bool) {
	// There is none yet, or the cloud's clock was wrong then or is now.
	if l.Since.IsZero() || now.Before(l.Since) {
		l = epochLine{recordVersion, highest, now}
	}
	if epoch <= l.above(now) {
		return l, true
	}
	clock := uint64(max(now.UnixMicro(), 0)) + clockSlack
	if epoch <= clock || highest == 0 && epoch <= firstEpochs {
		return epochLine{recordVersion, epoch, now}, true
	}
	return l, false
}

// RaiseEpoch records epoch for the device, enrolled or not, when it is above
// the highest seen and within reach of it, and reports the highest. A number
// raised is in the file before RaiseEpoch returns; after an error the connection
// must be refused. PutDevice with another key begins the numbers anew.
func (s *DeviceStore) RaiseEpoch(device string, epoch uint64) (highest uint64, raised bool, err error) {
	if err := checkName(device); err != nil {
		return 0, false, err
	}
	n, highest, err := s.raise(device, epoch, utc(time.Now()))
	if err != nil || n == 0 {
		return highest, false, err
	}
	if err := s.Await(n); err != nil {
		return highest, false, err
	}
	return highest, true, nil
}

func (s *DeviceStore) raise(device string, epoch uint64, now time.Time) (n, highest uint64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if highest, _, err = epochBucket.Get(s.Store, device); err != nil {
		return 0, 0, err
	}
	if epoch <= highest {
		return 0, highest, nil
	}
	line, _, err := lineBucket.Get(s.Store, device)
	if err != nil {
		return 0, 0, err
	}
	next, ok := line.next(highest, epoch, now)
	if !ok {
		return 0, highest, nil
	}
	changes := []storage.Change{epochBucket.Put(device, epoch)}
	if next != line {
		changes = append(changes, lineBucket.Put(device, next))
	}
	n, err = s.Write(changes...)
	return n, epoch, err
}
