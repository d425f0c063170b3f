package library

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/disk"
	"skerry/appliance/bundle/fetch"
	"skerry/appliance/bundle/plan"
	"skerry/appliance/status"
)

// NoProjector as PullOptions.Projector leaves out the projector that there is.
const NoProjector = "none"

// withProjector begins what a daemon is told to fetch where its projector is said along.
const withProjector = "projector:"

// Told is what a daemon is told to fetch: a name, with the projector of PullOptions.
func Told(projector, name string) string {
	if projector == "" {
		return name
	}
	return withProjector + projector + "|" + name
}

// Untold takes what a daemon was told apart. A projector that is a path is an error: files of this
// board are not read for clients.
func Untold(told string) (projector, name string, err error) {
	rest, ok := strings.CutPrefix(told, withProjector)
	if !ok {
		return "", told, nil
	}
	projector, name, ok = strings.Cut(rest, "|")
	if _, sum := sumOf(projector); !ok || projector != NoProjector && !fetch.IsHub(projector) && sum != nil {
		return "", "", fmt.Errorf("%.100q is no projector: give hf:OWNER/REPO/FILE.gguf, the digest of a file that was uploaded, or none", projector)
	}
	return projector, name, nil
}

// projector is the file by which a model of a width reads images, "" for none. One that was asked
// for and cannot be had is an error; one that lies beside the model is left out then, and why is
// said. unused is the sha256 of one that was fetched and is of no use here. hold keeps the file of
// that sha256 from being removed.
func (l *Library) projector(ctx context.Context, s source, width int, o PullOptions, hold func(sum string) error) (path, why, unused string, err error) {
	ref := o.Projector
	if ref == "" {
		ref = s.projector
	}
	if ref == "" || ref == NoProjector {
		return "", "", "", nil
	}
	path, sum, err := l.projectorFile(ctx, ref, s, o, hold)
	if err == nil {
		f, _, bad := bundle.OpenProjector(path, width)
		if bad == nil {
			return path, "", "", f.Close()
		}
		err = bad
	}
	if !errors.Is(err, bundle.ErrUnsupported) {
		sum = ""
	}
	switch {
	case ctx.Err() != nil:
		return "", "", "", ctx.Err()
	case o.Projector != "":
		return "", "", sum, fmt.Errorf("the projector: %w", err)
	}
	return "", fmt.Sprintf("%s, its projector, cannot be used: %s", s.projector, status.OneLine(err)), sum, nil
}

// projectorFile has the file of a projector be here. sum is the sha256 of one that was fetched.
func (l *Library) projectorFile(ctx context.Context, ref string, s source, o PullOptions, hold func(sum string) error) (path, sum string, err error) {
	if sum, err := sumOf(ref); err == nil {
		path = l.blob(sum)
		if _, err = os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%w: sha256:%s: upload the projector to /api/blobs/sha256:%[2]s first", ErrNoBlob, sum)
		}
		return path, "", err
	}
	if isFile(ref) {
		path, err = fetch.FromFile(ref)
		return path, "", err
	}
	if !fetch.IsHub(ref) {
		return "", "", fmt.Errorf("%.100q is no projector: give a file (mmproj-*.gguf), hf:OWNER/REPO/FILE.gguf, or none", ref)
	}
	of := o.Fetch
	of.Progress = prefixed("fetch its projector: ", o.Progress)
	f, err := findProjector(ctx, ref, of)
	if err != nil {
		return "", "", err
	}
	if needs := plan.Needs(s.bytes + f.Bytes); o.Projector == "" && o.Room > 0 && needs > o.Room {
		return "", "", fmt.Errorf("with it the model would take %s of memory, and there are %s", status.Bytes(needs), status.Bytes(o.Room))
	}
	if err := hold(f.SHA256); err != nil {
		return "", "", err
	}
	path, err = fetch.Model(ctx, f.Ref, of)
	return path, f.SHA256, err
}

// findProjector finds the file of a hub that a reference means: itself, or where it names a repository
// the projector there.
func findProjector(ctx context.Context, ref string, o fetch.Options) (fetch.Found, error) {
	f, err := fetch.Find(ctx, ref, o)
	if err == nil && f.Projector != "" {
		return fetch.Find(ctx, f.Projector, o)
	}
	return f, err
}

// isProjector says whether the projector that is asked for is one that a bundle has.
func (l *Library) isProjector(ctx context.Context, has *bundle.Projector, o PullOptions) (bool, error) {
	sum, err := sumOf(o.Projector)
	switch {
	case err == nil || o.Projector == NoProjector:
	case fetch.IsHub(o.Projector):
		f, err := findProjector(ctx, o.Projector, o.Fetch)
		if err != nil {
			return false, fmt.Errorf("the projector: %w", err)
		}
		sum = f.SHA256
	default:
		path, err := fetch.FromFile(o.Projector)
		if err == nil {
			sum, err = disk.HashFile(ctx, path, func(int64) {})
		}
		if err != nil {
			return false, fmt.Errorf("the projector: %w", err)
		}
	}
	return sum == has.SHA256, nil
}

// dropFetched removes a fetched file, unless it is needed.
func (l *Library) dropFetched(sum string) {
	if claimed, err := l.claimFetched(sum); err == nil {
		os.RemoveAll(l.fetched(sum))
		claimed()
	}
}

// withoutProjector says that a model which is here was made without the projector that there is.
func (p *Pulled) withoutProjector() string {
	return fmt.Sprintf("it was split without one: skerry model rm %s, and fetch it again, has it", p.Name)
}
