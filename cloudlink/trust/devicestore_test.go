package trust_test

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"

	"skerry/cloudlink/trust"
)

// A running cloud and its operator's commands may be of different versions, and
// tell each other of devices by these keys.
func TestDeviceAsJSON(t *testing.T) {
	b, err := json.Marshal(trust.Device{Name: "pi", Disclosure: trust.Hidden})
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(b, &fields); err != nil {
		t.Fatal(err)
	}
	want := []string{"Enrolled", "Epoch", "Expires", "Key", "May", "Name", "Revoked", "Seen", "Status"}
	if got := slices.Sorted(maps.Keys(fields)); !slices.Equal(got, want) || fields["May"] != "hidden" {
		t.Errorf("%v, %v", got, fields["May"])
	}
}
