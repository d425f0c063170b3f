package storage

import (
	"testing"
	"testing/synctest"
)

// A board that its cloud brought back into reach counts on from there after a
// power cut too.
func TestResetEpoch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // no commit but ours
		path := board(t)
		db := open(t, path, Options{})
		must0(t, db.JumpEpoch(1<<61), db.ResetEpoch(70))
		n, err := db.NextEpoch()
		if n != 71 || err != nil {
			t.Fatal(n, err)
		}
		must0(t, db.ResetEpoch(500)) // upwards as well
		if n, err := db.NextEpoch(); n != 501 || err != nil {
			t.Fatal(n, err)
		}
		must0(t, db.Close())
		db = open(t, path, Options{})
		if n, err := db.NextEpoch(); n <= 501 || n > 501+3*epochBlock || err != nil {
			t.Fatalf("after a restart %d, %v", n, err)
		}
	})
}
