package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/renameio/v2"
)

// ownKey is a key that the add-on has, and shows in its log.
type ownKey struct {
	name  string // in the daemon's list of keys
	scope string
	file  string // in the add-on's data
}

var (
	pageKey    = ownKey{"homeassistant", "admin", "page-key"}
	programKey = ownKey{"homeassistant-programs", "ask", "program-key"}
)

// key is the secret of one of the add-on's. The daemon keeps only its hash, so it is kept
// here as well; where either was lost or removed, there is a new one.
func (a *addOn) key(ctx context.Context, k ownKey) (string, error) {
	path := filepath.Join(a.data, k.file)
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	kept := strings.TrimSpace(string(text))
	out, err := a.run(ctx, "key", "ls", "--json")
	if err != nil {
		return "", err
	}
	var keys []struct{ Name string }
	if err := json.Unmarshal([]byte(out), &keys); err != nil {
		return "", fmt.Errorf("skerry key ls: %w", err)
	}
	known := slices.Contains(keys, struct{ Name string }{k.name})
	if known && kept != "" {
		return kept, nil
	}
	if known {
		if _, err := a.run(ctx, "key", "rm", k.name); err != nil {
			return "", err
		}
	}
	if out, err = a.run(ctx, "key", "new", k.name, "--scope", k.scope, "--json"); err != nil {
		return "", err
	}
	var made struct{ Key string }
	if err := json.Unmarshal([]byte(out), &made); err != nil || made.Key == "" {
		return "", errors.New("skerry key new has made no key")
	}
	return made.Key, renameio.WriteFile(path, []byte(made.Key+"\n"), 0o600)
}

// joining is how long a cloud may take to let this machine in.
const joining = time.Minute

// join joins the cloud of a code, once. Without the cloud the daemon starts all the same.
func (a *addOn) join(ctx context.Context, o options) error {
	if o.code == "" {
		return nil
	}
	path := filepath.Join(a.data, "joined")
	sum := fmt.Sprintf("%x", sha256.Sum256([]byte(o.code)))
	if text, err := os.ReadFile(path); err == nil && strings.TrimSpace(string(text)) == sum {
		return nil
	}
	args := []string{"enroll"}
	if o.may != "" {
		args = append(args, "--may="+o.may)
	}
	within, cancel := context.WithTimeout(ctx, joining)
	defer cancel()
	if _, err := a.run(within, append(args, "--", o.code)...); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		fmt.Fprintf(a.out, "This machine could not join the cloud, and goes on without it until the add-on is started again: %v\n", err)
		return nil
	}
	fmt.Fprintln(a.out, "This machine has joined the cloud.")
	return renameio.WriteFile(path, []byte(sum+"\n"), 0o600)
}
