package fleet

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/google/renameio/v2"

	"skerry/appliance/update/install"
)

// State is how far a board is with an offer.
type State string

// States.
const (
	Waiting   State = "waiting"   // for its time, or for another update to end
	Fetching  State = "fetching"  // it is being written
	Trying    State = "trying"    // it is written, and has to prove itself
	Installed State = "installed" // it runs, and stays
	Failed    State = "failed"    // it did not stick, or could not be fetched
	Refused   State = "refused"   // it is not for this board, or not signed so
)

// Report is how a board stands to an offer. It lies in a file beside the record of updates.
type Report struct {
	Number  uint64 `json:"number"` // of the offer
	Version string `json:"version"`
	State   State  `json:"state"`
	Reason  string `json:"reason,omitempty"`
	// Final says that this offer is not tried again.
	Final bool `json:"final,omitempty"`
	// Tries is how often it could not be fetched, and Next when it is tried again.
	Tries int       `json:"tries,omitempty"`
	Next  time.Time `json:"next,omitzero"`
}

// reportFile is its name, and largest how many bytes it may have.
const (
	reportFile = "fleet.json"
	largest    = 16 << 10
)

func path(i *install.Installation) string { return filepath.Join(filepath.Dir(i.Cache()), reportFile) }

// Load returns the newest report, an empty one where there is none or it cannot be read:
// then the offer is looked at again.
func Load(i *install.Installation) Report {
	text, err := os.ReadFile(path(i))
	if err != nil {
		return Report{}
	}
	r, err := parse(text)
	if err != nil {
		return Report{}
	}
	return r
}

func parse(text []byte) (r Report, err error) {
	if len(text) > largest {
		return r, fmt.Errorf("%d bytes, of at most %d", len(text), largest)
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return Report{}, err
	}
	switch r.State {
	case Waiting, Fetching, Trying, Installed, Failed, Refused:
		return r, nil
	}
	return Report{}, fmt.Errorf("an unknown state %.20q", r.State)
}

func save(i *install.Installation, r Report) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return renameio.WriteFile(path(i), append(text, '\n'), 0o644)
}
