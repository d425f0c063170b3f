package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"

	"skerry/appliance/bundle/disk"
)

// File returns the path of a file of known size in bytes and sha256 in hex, downloading
// it from url into Options.Cache unless it is there. What an earlier try has left is gone
// on with. Errors name what to do; they wrap ErrChecksum, syscall.ENOSPC or the context's
// error where that is the cause.
func File(ctx context.Context, url, sha256 string, size int64, opt Options) (string, error) {
	if !hexSum.MatchString(sha256) || size <= 0 || size > maxModel {
		return "", fmt.Errorf("%s: no file has the sha256 %.80q and %d bytes: fetch what names it again", url, sha256, size)
	}
	c, err := newCache(opt)
	if err != nil {
		return "", err
	}
	d, b := &download{cache: c, url: url, plain: true}, blob{path.Base(url), sha256, size}
	return c.get(ctx, b, func(part string) error { return d.run(ctx, b, part) })
}

// ErrNotThere is wrapped where a server has no such file.
var ErrNotThere = errors.New("no such file")

// Small returns what is at url, of at most so many bytes. Errors name what to do; they
// wrap ErrNotThere or the context's error where that is the cause.
func Small(ctx context.Context, url string, most int64, opt Options) ([]byte, error) {
	c, err := newCache(opt)
	if err != nil {
		return nil, err
	}
	d := &download{cache: c, url: url, plain: true}
	ctx, came, stop := watchStall(ctx, d.opt.Stall)
	defer stop()
	client := *d.opt.Client
	client.CheckRedirect = follow
	r, err := d.request(ctx, &client, http.MethodGet, 0)
	if err != nil {
		return nil, err
	}
	defer r.Body.Close()
	switch r.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound:
		return nil, fmt.Errorf("%s: %w: check the address", url, ErrNotThere)
	default:
		return nil, d.status(r)
	}
	text, err := io.ReadAll(io.TeeReader(io.LimitReader(r.Body, most+1), disk.Metered(ctx, io.Discard, came)))
	if err != nil {
		return nil, fmt.Errorf("%s: the download broke off: %w: try again", url, err)
	}
	if int64(len(text)) > most {
		return nil, fmt.Errorf("%s: it is larger than %d bytes: check the address", url, most)
	}
	return text, nil
}
