// Package testleak fails tests that leave goroutines behind. It is go.uber.org/goleak with
// a minute for those that are about to end: goleak alone waits for less than half a second,
// which a busy machine may not give them.
package testleak

import (
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// patience bounds the wait; it is no measure of speed.
const patience = time.Minute

// Main runs the tests of a package and exits, with 1 where they passed and left goroutines
// behind.
func Main(m *testing.M, options ...goleak.Option) {
	code := m.Run()
	if code == 0 {
		if err := await(func() error { return goleak.Find(options...) }, patience); err != nil {
			fmt.Fprintf(os.Stderr, "testleak: goroutines outlive the tests: %v\n", err)
			code = 1
		}
	}
	os.Exit(code)
}

// None fails the test where there are goroutines that the options do not leave out.
func None(t testing.TB, options ...goleak.Option) {
	t.Helper()
	if err := await(func() error { return goleak.Find(options...) }, patience); err != nil {
		t.Error(err)
	}
}

// await looks again until nothing is found, or for so long, and returns what was found last.
// The looks of goleak wait between themselves.
func await(find func() error, patience time.Duration) error {
	for end := time.Now().Add(patience); ; {
		err := find()
		if err == nil || time.Now().After(end) {
			return err
		}
	}
}
