package install

import (
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

// stable are the verbs of skerry update that are always the package's own program's: they
// choose what is started.
var stable = []string{"start", "seed"}

// Forward has the command line of a package's program be run by the version that an update
// has brought: it replaces this process, or returns where there is nothing to do.
func Forward(argv []string) {
	program, err := os.Executable()
	if err != nil || program != Program {
		return
	}
	if to := newer(Base, program, argv); to != "" {
		syscall.Exec(to, argv, os.Environ()) // where it fails, this version answers
	}
}

// newer is the program below base that is to run a command line in place of program, "" for
// none.
func newer(base, program string, argv []string) string {
	if len(argv) > 0 && filepath.Dir(argv[0]) == filepath.Join(base, "running") {
		return "" // the service, as it was chosen: on trial it may be another than the one that is kept
	}
	if len(argv) > 2 && argv[1] == "update" && slices.Contains(stable, argv[2]) {
		return ""
	}
	to, err := filepath.EvalSymlinks(filepath.Join(base, "current", filepath.Base(program)))
	if err != nil || to == program {
		return ""
	}
	return to
}
