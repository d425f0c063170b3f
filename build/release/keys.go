package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"skerry/appliance/update/publish"
)

// keys sign a release.
type keys struct {
	sums publish.Key
	apt  *archiveKey
	// throwAway begins a sentence on what was signed with keys of a trial, "" for nothing.
	throwAway string
}

// throwAway is how the files of keys begin that were made for one trial.
const throwAway = "THROW-AWAY-"

// readKeys reads the keys that the environment names.
func readKeys() (k keys, err error) {
	minisign, apt := os.Getenv("MINISIGN_KEY"), os.Getenv("APT_KEY")
	if minisign == "" || apt == "" {
		return k, errors.New("MINISIGN_KEY and APT_KEY name no files of keys: call make release, which makes what is missing")
	}
	if k.sums, err = publish.ReadKey(minisign, os.Getenv("MINISIGN_PASSWORD")); err != nil {
		return k, err
	}
	if k.apt, err = readArchiveKey(apt, os.Getenv("APT_PASSWORD")); err != nil {
		return k, err
	}
	sums, repository := strings.HasPrefix(filepath.Base(minisign), throwAway), strings.HasPrefix(filepath.Base(apt), throwAway)
	switch {
	case sums && repository:
		k.throwAway = "Everything is signed with keys"
	case sums:
		k.throwAway = "The sums and the updates are signed with a key"
	case repository:
		k.throwAway = "The apt repository is signed with a key"
	}
	return k, nil
}

// printKeys prints assignments for a shell: of the paths of both keys, made in dir where the
// environment names none, and of the public keys that are built into the program.
func printKeys(out io.Writer, dir string) error {
	paths := map[string]string{}
	for name, file := range map[string]string{"MINISIGN_KEY": "minisign.key", "APT_KEY": "apt.asc"} {
		if paths[name] = os.Getenv(name); paths[name] != "" {
			continue
		}
		path, err := filepath.Abs(filepath.Join(dir, throwAway+file))
		if err != nil {
			return err
		}
		paths[name] = path
		// Nobody else may look into it, but what is beside it is for all.
		if err := os.MkdirAll(filepath.Dir(filepath.Clean(dir)), 0o755); err != nil {
			return err
		}
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			continue // of an earlier trial, or not readable, which the reader says
		}
		fmt.Fprintf(os.Stderr, "release: %s is not set: a throw-away key is made, for a trial alone: %s\n", name, path)
		if name == "APT_KEY" {
			err = newArchiveKey(path)
		} else {
			_, err = publish.NewKey(path)
		}
		if err != nil {
			return err
		}
	}
	sums, err := publish.ReadKey(paths["MINISIGN_KEY"], os.Getenv("MINISIGN_PASSWORD"))
	if err != nil {
		return err
	}
	public := strings.Fields(os.Getenv("UPDATE_KEYS"))
	if len(public) == 0 {
		public = []string{sums.Public()}
	}
	for _, s := range [][2]string{{"MINISIGN_KEY", paths["MINISIGN_KEY"]}, {"APT_KEY", paths["APT_KEY"]}, {"UPDATE_KEYS", strings.Join(public, " ")}} {
		if _, err := fmt.Fprintf(out, "export %s='%s'\n", s[0], strings.ReplaceAll(s[1], "'", `'\''`)); err != nil {
			return err
		}
	}
	return nil
}
