// Command release gathers everything that a user downloads in one directory: packages with
// an apt repository's index, container images, an add-on of Home Assistant, images of cards, updates, the installer, the
// sums of all of it with their signature, and notes.
//
//	go run ./build/release -version 1.2.0 -from build/out -dir build/out/release
//
// It runs at the top of the repository, after make update and make oci. The keys are files:
// MINISIGN_KEY, as minisign -G writes it, for the sums and the updates; APT_KEY, an OpenPGP
// key as gpg --export-secret-keys --armor writes it, for the repository. With -keys DIR it
// only prints settings for make: what is not given is a throw-away key in that directory,
// which says so wherever it signs.
//
// The same inputs and keys give the same bytes, apart from the repository's signatures,
// which have the time in them.
package main

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"time"

	"skerry/build/homeassistant"
)

func main() {
	version := flag.String("version", "", "the program's version")
	from := flag.String("from", "build/out", "directory of what was built")
	dir := flag.String("dir", "build/out/release", "directory of the release")
	onlyKeys := flag.String("keys", "", "only print settings of the keys, made in this directory where none are given")
	flag.Parse()
	err := func() error {
		if *onlyKeys != "" {
			return printKeys(os.Stdout, *onlyKeys)
		}
		return run(*version, *from, *dir)
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func run(version, from, dir string) error {
	// As reproducible-builds.org has it: seconds since 1970.
	seconds, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64)
	if err != nil {
		return fmt.Errorf("SOURCE_DATE_EPOCH is no time: set it to the commit's, as git log -1 --format=%%ct says")
	}
	k, err := readKeys()
	if err != nil {
		return err
	}
	r := &release{version: version, arches: []string{"amd64", "arm64"}, at: time.Unix(seconds, 0).UTC(), from: from, keys: k, now: time.Now, starter: homeassistant.Starter}
	return r.write(dir)
}
