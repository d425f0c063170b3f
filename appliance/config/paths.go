package config

import (
	"fmt"
	"os"
	"path/filepath"
)

// StateDir is where certificates, keys and the database are kept: the directory that is
// given (by --state or in the configuration), else $SKERRY_STATE, else systemd's, else
// the user's.
func StateDir(given string) (string, error) {
	for _, d := range []string{given, os.Getenv("SKERRY_STATE"), os.Getenv("STATE_DIRECTORY")} {
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

// DatabasePath is where a board keeps its database below the state directory.
func DatabasePath(state string) string { return filepath.Join(state, "board.db") }
