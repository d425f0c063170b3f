package cli

import (
	"io"

	"github.com/google/renameio/v2"
)

// WriteFile has write fill a file that nobody but this user may read. The file is there
// whole or not at all.
func WriteFile(path string, write func(io.Writer) error) error {
	f, err := renameio.NewPendingFile(path, renameio.WithPermissions(0o600))
	if err != nil {
		return err
	}
	defer f.Cleanup()
	if err := write(f); err != nil {
		return err
	}
	return f.CloseAtomicallyReplace()
}
