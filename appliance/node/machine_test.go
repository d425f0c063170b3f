package node

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"skerry/appliance/status"
)

// TestUnreadableSensorIsSaid: a sensor that is there and cannot be read stands in the
// status, in its text and among the problems, and one that is not there does not.
func TestUnreadableSensorIsSaid(t *testing.T) {
	a, err := txtar.ParseFile("../../board/testdata/unreadable.txtar")
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	for _, f := range a.Files {
		path := filepath.Join(root, f.Name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, f.Data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	look := func(root string) (status.Board, string) {
		s := status.Status{Board: newMachine(root).status(1)}
		var text strings.Builder
		if err := status.Text(&text, s, 120); err != nil {
			t.Fatal(err)
		}
		return s.Board, text.String()
	}
	b, text := look(root)
	for _, want := range []string{"fan cannot be read", "fan1_input", "memory cannot be read", "throttling cannot be read"} {
		if !strings.Contains(text, want) {
			t.Errorf("the status does not say %q:\n%s", want, text)
		}
	}
	if s, ok := b.Temperature(); !ok || s.Name != "cpu" || s.Value != 58 {
		t.Errorf("the temperature is %+v", s)
	}
	if b, text := look(t.TempDir()); len(b.SensorErrors) > 0 || strings.Contains(text, "cannot be read") {
		t.Errorf("a board without sensors: %v\n%s", b.SensorErrors, text)
	}
}
