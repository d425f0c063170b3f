// Package remote changes the models of the daemon where one runs, and else those of this
// user's library: so the command line need not know which of the two there is.
package remote

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"skerry/appliance/admin"
	"skerry/appliance/bundle/prepare"
	"skerry/appliance/library"
	"skerry/appliance/status"
)

// absent says whether err is that no daemon answers.
func absent(err error) bool { return errors.As(err, new(*admin.Unreachable)) }

// Pull has a model be in the daemon's library under the name that the daemon is told, or
// else in this user's by what library.Pull takes, and returns the directory of its bundle.
func Pull(ctx context.Context, d *admin.Client, name, told string, o library.PullOptions) (dir string, err error) {
	if library.IsFile(name) {
		dir, err = handOver(ctx, d, name, o)
	} else {
		dir, err = pull(ctx, d, told, o)
	}
	if !absent(err) {
		return dir, err
	}
	l, err := library.Open()
	if err != nil {
		return "", err
	}
	p, err := l.Pull(ctx, name, o)
	if err == nil && p.NoDraft != "" {
		o.Progress("without a draft: "+p.NoDraft, 0, 0)
	}
	if err == nil && p.NoProjector != "" {
		o.Progress("without images: "+p.NoProjector, 0, 0)
	}
	return p.Dir, err
}

// pull has the daemon fetch a model, and gives it the projector where that is a file.
func pull(ctx context.Context, d *admin.Client, told string, o library.PullOptions) (string, error) {
	projector := o.Projector
	if library.IsFile(projector) {
		if err := d.Connect(ctx); err != nil {
			return "", err
		}
		var err error
		if projector, err = give(ctx, d, projector, o.Progress); err != nil {
			return "", err
		}
	}
	return d.Pull(ctx, library.Told(projector, told), o.Progress)
}

// handOver gives the daemon a file, as it may not be able to read it, and has it make a model
// of that.
func handOver(ctx context.Context, d *admin.Client, path string, o library.PullOptions) (string, error) {
	if err := d.Connect(ctx); err != nil {
		return "", err
	}
	digest, err := give(ctx, d, path, o.Progress)
	if err != nil {
		return "", err
	}
	files := map[string]string{filepath.Base(path): digest}
	switch {
	case o.Projector == "" || o.Projector == library.NoProjector:
	case !library.IsFile(o.Projector):
		return "", fmt.Errorf("a daemon makes a model of a file here with a projector that is a file here: fetch that one first (skerry model fetch %s)", o.Projector)
	default:
		if files["mmproj.gguf"], err = give(ctx, d, o.Projector, o.Progress); err != nil {
			return "", err
		}
	}
	return d.Create(ctx, library.NameOf(path), files, o.Progress)
}

// give hands the daemon a file, and returns its digest.
func give(ctx context.Context, d *admin.Client, path string, step prepare.Step) (string, error) {
	digest, size, err := library.Digest(ctx, path, step)
	if err != nil {
		return "", err
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	step("hand it to the daemon", 0, 0)
	return digest, d.Upload(ctx, digest, size, f)
}

// Remove removes a model, and says what came of it.
func Remove(ctx context.Context, d *admin.Client, name string) (said string, err error) {
	if err := d.RemoveModel(ctx, name); !absent(err) {
		return name + " is removed", err
	}
	l, err := library.Open()
	if err != nil {
		return "", err
	}
	r, err := l.Remove(ctx, name)
	if r.Left != "" {
		return fmt.Sprintf("the name %s is gone; the model stays as %s", r.Name, r.Left), err
	}
	return fmt.Sprintf("%s is removed, %s are free again", r.Name, status.Bytes(r.Freed)), err
}

// Copy gives a model a further name.
func Copy(ctx context.Context, d *admin.Client, from, to string) error {
	err := d.CopyModel(ctx, from, to)
	if !absent(err) {
		return err
	}
	l, err := library.Open()
	if err != nil {
		return err
	}
	return l.Copy(ctx, from, to)
}

// List is the models of this user's library, and those that only the daemon has.
func List(ctx context.Context, d *admin.Client) ([]prepare.Model, error) {
	l, err := library.Open()
	if err != nil {
		return nil, err
	}
	models := l.All()
	others, _ := d.Models(ctx) // without a daemon there are none
	for _, o := range others {
		if !slices.ContainsFunc(models, func(m prepare.Model) bool { return library.Canonical(m.Name) == library.Canonical(o.Name) }) {
			models = append(models, prepare.Model{Name: strings.TrimSuffix(o.Name, ":latest"), Bytes: o.Size, Daemon: true})
		}
	}
	return models, nil
}
