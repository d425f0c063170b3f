package main

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"

	"skerry/appliance/update/publish"
)

// keysSuffix is of the file beside an image with the public keys that it takes updates by, one
// a line. build/release compares it with its own key.
const keysSuffix = ".keys"

// trustedKeys are the public keys of updates that are built into the program of a package: of
// $UPDATE_KEYS, and of the one that $MINISIGN_KEY names. That one has to be among them, or the
// image would refuse the updates that are made with it.
func trustedKeys(ctx context.Context, deb string) (trusted []string, err error) {
	known := strings.Fields(os.Getenv("UPDATE_KEYS"))
	signs := ""
	if path := os.Getenv("MINISIGN_KEY"); path != "" {
		key, err := publish.ReadKey(path, os.Getenv("MINISIGN_PASSWORD"))
		if err != nil {
			return nil, err
		}
		signs = key.Public()
		known = append(known, signs)
	}
	if len(known) == 0 {
		say("the image takes no updates, but by a key in /etc/skerry/update.pub: UPDATE_KEYS and MINISIGN_KEY are not set")
		return nil, nil
	}
	program, err := programOf(ctx, deb)
	if err != nil {
		return nil, err
	}
	return trustedIn(program, known, signs)
}

// trustedIn are those of the known keys that a program was built with.
func trustedIn(program []byte, known []string, signs string) (trusted []string, err error) {
	slices.Sort(known)
	for _, key := range slices.Compact(known) {
		if bytes.Contains(program, []byte(key)) {
			trusted = append(trusted, key)
		} else if key == signs {
			return nil, fmt.Errorf("the image would refuse the updates that MINISIGN_KEY signs, as its program does not trust that key: make image UPDATE_KEYS=%s", key)
		} else {
			return nil, fmt.Errorf("the package's program was built without the key %s of UPDATE_KEYS: make image, which builds it anew", key)
		}
	}
	return trusted, nil
}

// programOf is the program in a package.
func programOf(ctx context.Context, deb string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "dpkg-deb", "--fsys-tarfile", deb)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	program, err := programIn(out)
	io.Copy(io.Discard, out) // so that it ends; how, is asked next
	if ended := cmd.Wait(); ended != nil {
		err = errors.Join(err, ended)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w: make deb", deb, err)
	}
	return program, nil
}

func programIn(files io.Reader) ([]byte, error) {
	for r := tar.NewReader(files); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil, errors.New("it has no usr/bin/skerry")
		}
		if err != nil {
			return nil, err
		}
		if path.Clean(h.Name) == "usr/bin/skerry" {
			return io.ReadAll(r)
		}
	}
}
