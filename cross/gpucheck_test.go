package cross_test

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestGPUCheck holds a GPU's answers against the processor's where this machine has one, and
// says why not where it has none.
func TestGPUCheck(t *testing.T) {
	if testing.Short() {
		t.Skip("skipped: with a GPU it takes minutes")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Minute)
	defer cancel()
	table := filepath.Join(t.TempDir(), "table.txt")
	out, err := exec.CommandContext(ctx, "./gpu-check.sh", "-o", table).CombinedOutput()
	if strings.HasPrefix(string(out), "SKIP: ") && err == nil {
		t.Skipf("skipped: %s", strings.TrimSpace(strings.TrimPrefix(string(out), "SKIP: ")))
	}
	if err != nil {
		t.Errorf("gpu-check.sh: %v", err)
	}
	t.Logf("%s", out)
}
