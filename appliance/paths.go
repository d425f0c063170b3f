package main

import (
	"fmt"
	"os"
	"path/filepath"
)

// stateDir is where certificates and, later, the database live: --state, else
// systemd's, else the user's.
func stateDir(flag string) (string, error) {
	for _, d := range []string{flag, os.Getenv("SKERRY_STATE"), os.Getenv("STATE_DIRECTORY")} {
		if d != "" {
			return d, nil
		}
	}
	if d := os.Getenv("XDG_STATE_HOME"); d != "" {
		return filepath.Join(d, "skerry"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("no state directory: %w (give --state DIR)", err)
	}
	return filepath.Join(home, ".local", "state", "skerry"), nil
}
