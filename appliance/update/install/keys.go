package install

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// KeyFile is where the keys of whoever publishes updates for this board are, beside those
// that the program was built with.
const KeyFile = "/etc/skerry/update.pub"

// Keys are the public keys that may sign updates: those that the program was built with,
// with spaces between, those of KeyFile, and those of the file update.pub beside the
// program. There may be none.
func Keys(built string) ([]string, error) {
	files := []string{KeyFile}
	if program, err := os.Executable(); err == nil {
		files = append(files, filepath.Join(filepath.Dir(program), filepath.Base(KeyFile)))
	}
	return keysOf(built, files...)
}

func keysOf(built string, files ...string) ([]string, error) {
	keys := strings.Fields(built)
	for _, path := range files {
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%w: the keys of updates cannot be read", err)
		}
		for line := range strings.Lines(string(text)) {
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "untrusted comment:") {
				keys = append(keys, line)
			}
		}
	}
	return keys, nil
}
