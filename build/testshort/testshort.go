// Package testshort leaves tests out of -short, and so out of make check.
package testshort

import (
	"os"
	"testing"
)

// Skip leaves the test out of -short, for what it waits or computes. A soak, which runs tests
// of random input again and again, is short and leaves nothing out.
func Skip(t testing.TB, why string) {
	t.Helper()
	if testing.Short() && os.Getenv("SKERRY_SOAK") == "" {
		t.Skip("left out by -short: " + why)
	}
}
