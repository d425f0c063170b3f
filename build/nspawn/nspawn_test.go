package nspawn

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestBoots(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: -short")
	}
	if err := Available(); err != nil {
		t.Skip("skipped: ", err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	archive, err := Archive(ctx, filepath.Join(cache, "skerry"))
	if err != nil {
		t.Skip("skipped: ", err)
	}
	c, err := Boot(ctx, archive, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	out, err := c.Run(ctx, "systemctl", "--version")
	if err != nil || !strings.HasPrefix(out, "systemd 252") {
		t.Errorf("%v: %s", err, out)
	}
	if _, err := c.Run(ctx, "false"); err == nil {
		t.Error("no error of a command that fails")
	}
}
