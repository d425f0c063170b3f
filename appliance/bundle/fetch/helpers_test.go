package fetch

import (
	"testing"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/split"
	"skerry/build/testleak"
)

func TestMain(m *testing.M) { testleak.Main(m) }

// splitInto makes a bundle in dir.
func splitInto(t testing.TB, src, dir string, o split.Options) *bundle.Manifest {
	t.Helper()
	m, err := split.Model(t.Context(), src, dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}
