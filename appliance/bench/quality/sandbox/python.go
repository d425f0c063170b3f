package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"time"

	"skerry/appliance/status"
)

// python is an interpreter.
type python struct {
	Path string   `json:"path"` // of its file, links resolved
	Dirs []string `json:"dirs"` // that it needs beside those of the system
}

// ask is the program that tells of the interpreter that runs it.
const ask = `import json, os, sys
exe = os.path.realpath(sys.executable)
print(json.dumps({"path": exe, "dirs": [sys.base_prefix, sys.base_exec_prefix, os.path.dirname(exe)]}))`

// findTime bounds the wait for an interpreter to tell of itself.
const findTime = 20 * time.Second

// findPythons lists the interpreters of this machine, first that of PATH. A link or a script
// that stands for one, as version managers install them, is followed.
func findPythons(ctx context.Context) (found []python, err error) {
	ctx, cancel := context.WithTimeout(ctx, findTime)
	defer cancel()
	err = errors.New("python3 is not installed: install it, on Debian with apt install python3")
	for _, name := range []string{"python3", "/usr/bin/python3", "/usr/local/bin/python3"} {
		path, missing := exec.LookPath(name)
		if missing != nil {
			continue
		}
		var p python
		out, failed := exec.CommandContext(ctx, path, "-I", "-S", "-c", ask).Output()
		if failed == nil {
			failed = json.Unmarshal(out, &p)
		}
		if failed != nil {
			err = fmt.Errorf("%s does not run: %s", path, status.OneLine(failed))
			continue
		}
		if !slices.ContainsFunc(found, func(o python) bool { return o.Path == p.Path }) {
			found = append(found, p)
		}
	}
	if len(found) > 0 {
		return found, nil
	}
	return nil, err
}
