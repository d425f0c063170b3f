package fetch

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"skerry/appliance/bundle/disk"
	"skerry/appliance/bundle/gguf"
)

// tries is how often a download may break before it has gained anything.
const tries = 5

// errRedirect is wrapped where a server sends its clients somewhere they do not go.
var errRedirect = errors.New("the server sends this download elsewhere")

// follow goes where a redirect leads, if that is a server on the web: never from an
// encrypted one to one that is not.
func follow(req *http.Request, via []*http.Request) error {
	from := via[len(via)-1].URL.Scheme
	switch to := req.URL.Scheme; {
	case len(via) >= 10:
		return fmt.Errorf("%w, ten times in a row", errRedirect)
	case to != "https" && to != "http":
		return fmt.Errorf("%w, to a %s: address", errRedirect, gguf.Short(to))
	case from == "https" && to == "http":
		return fmt.Errorf("%w, to an address without encryption", errRedirect)
	}
	return nil
}

var hubRef = regexp.MustCompile(`^([\w.-]+)/([\w.-]+)/((?:[\w.-]+/)*[\w.-]+\.gguf)(?:@sha256:([0-9a-f]{64}))?$`)

// fromHub fetches OWNER/REPO/FILE from a server with the hub's paths. The
// sha256 comes from the reference or from the server.
func (c *cache) fromHub(ctx context.Context, ref, rest string) (string, error) {
	d, b, err := c.hubFile(ref, rest)
	if err != nil {
		return "", err
	}
	if b.sha256 != "" {
		if err := c.check(ctx, b, c.path(b)); err == nil {
			return c.path(b), nil // pinned and there: no need of a network
		}
	}
	if err := d.ask(ctx, &b); err != nil {
		return "", err
	}
	return c.get(ctx, b, func(part string) error { return d.run(ctx, b, part) })
}

// hubFile is the file that a reference names, with its sha256 where it is pinned.
func (c *cache) hubFile(ref, rest string) (*download, blob, error) {
	m := hubRef.FindStringSubmatch(rest)
	if m == nil || strings.Contains(rest, "..") {
		return nil, blob{}, fmt.Errorf("reference %q is not of the form hf:OWNER/REPO/FILE.gguf[@sha256:HEX]", gguf.Short(ref))
	}
	d := &download{cache: c, url: fmt.Sprintf("%s/%s/%s/resolve/main/%s", strings.TrimSuffix(c.opt.Hub, "/"), m[1], m[2], m[3])}
	return d, blob{name: filepath.Base(m[3]), sha256: m[4]}, nil
}

type download struct {
	*cache
	url string
	// plain is set where what comes is no model, but a file of known size and sha256.
	plain bool
}

var hexSum = regexp.MustCompile(`^[0-9a-f]{64}$`)

// ask learns sha256 and size. The hub answers for large files with a redirect
// that carries both, so redirects within one host only are followed.
func (d *download) ask(ctx context.Context, b *blob) error {
	client := *d.opt.Client
	client.CheckRedirect = func(req *http.Request, via []*http.Request) error {
		if len(via) > 5 || req.URL.Host != via[0].URL.Host {
			return http.ErrUseLastResponse
		}
		return nil
	}
	r, err := d.request(ctx, &client, http.MethodHead, 0)
	if err != nil {
		return err
	}
	r.Body.Close()
	if r.StatusCode >= 400 {
		return d.status(r)
	}
	for _, h := range []string{"X-Linked-Etag", "Etag"} {
		sum := strings.Trim(strings.TrimPrefix(r.Header.Get(h), "W/"), `"`)
		if !hexSum.MatchString(sum) {
			continue
		}
		if b.sha256 != "" && b.sha256 != sum {
			return fmt.Errorf("%s: %w: the server has %s, the reference wants %s: correct the reference", d.url, ErrChecksum, sum, b.sha256)
		}
		b.sha256 = sum
		break
	}
	if b.sha256 == "" {
		return fmt.Errorf("%s: the server gives no sha256: add @sha256:HEX to the reference", d.url)
	}
	size := r.Header.Get("X-Linked-Size")
	if size == "" && r.StatusCode == http.StatusOK {
		size = r.Header.Get("Content-Length")
	}
	n, err := strconv.ParseInt(size, 10, 64)
	if err == nil && n > maxModel {
		return fmt.Errorf("%s: the server says that the file has %d bytes, which no model has: get it elsewhere", d.url, n)
	}
	if err == nil && n > 0 {
		b.bytes = n
	}
	return nil
}

// run downloads to part, going on where an earlier try ended. What is no part of the
// model is removed, and so is everything where the disk is full.
func (d *download) run(ctx context.Context, b blob, part string) error {
	pause := d.opt.Pause
	for left := tries; ; {
		have := fileSize(part)
		if b.bytes > 0 && have >= b.bytes {
			return nil // what it is, the check will say
		}
		final, err := d.piece(ctx, b, part, have)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if errors.As(err, new(*unwantedError)) || errors.Is(err, syscall.ENOSPC) {
			os.Remove(part)
			return err
		}
		if final {
			return err
		}
		if fileSize(part)-have >= gain {
			left, pause = tries, d.opt.Pause
		}
		if left--; left == 0 {
			return fmt.Errorf("%w: run the command again to resume", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
			pause *= 2
		}
	}
}

// piece does one request; final says that no other will do better.
func (d *download) piece(ctx context.Context, b blob, part string, have int64) (final bool, err error) {
	ctx, came, stop := watchStall(ctx, d.opt.Stall)
	defer stop()
	defer func() {
		if cause := context.Cause(ctx); errors.Is(cause, errStalled) {
			final, err = false, fmt.Errorf("%s: %w", d.url, cause)
		}
	}()
	client := *d.opt.Client
	client.CheckRedirect = follow
	r, err := d.request(ctx, &client, http.MethodGet, have)
	if err != nil {
		return errors.Is(err, errRedirect), err
	}
	defer r.Body.Close()
	switch {
	case r.StatusCode == http.StatusRequestedRangeNotSatisfiable:
		// The part is longer than the file, or as long: the check will tell.
		return true, nil
	case r.StatusCode == http.StatusOK:
		have = 0 // the server ignores ranges, or none was asked for
	case r.StatusCode != http.StatusPartialContent:
		return r.StatusCode < 500 && r.StatusCode != http.StatusTooManyRequests, d.status(r)
	case !strings.HasPrefix(r.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", have)):
		return true, fmt.Errorf("%s: the server sent another range than asked for: delete %s and try again", d.url, part)
	}
	if err := truncate(part, have); err != nil {
		return true, err
	}
	if b.bytes == 0 && r.ContentLength > maxModel {
		return true, unwanted("%s: the server says that %d bytes are to come, which no model has: get it elsewhere", d.url, r.ContentLength)
	}
	// Where the size is not known, what is to come is a first idea of it.
	if err := disk.CheckSpace(filepath.Dir(part), max(b.bytes-have, r.ContentLength, 0)); err != nil {
		return true, err
	}
	total := max(b.bytes, have+r.ContentLength)
	body := newIntake(r.Body, part, d.url, have, b.bytes)
	if d.plain {
		body.look = 0 // no header is expected
	}
	err = appendTo(ctx, part, body, func(done int64) {
		came(done)
		d.progress("download", have+done, total)
	})
	if errors.As(err, new(*os.PathError)) || errors.Is(err, syscall.ENOSPC) || errors.As(err, new(*unwantedError)) {
		return true, err
	}
	if err != nil {
		err = fmt.Errorf("%s: the download broke off: %w", d.url, err)
	}
	return false, err
}

func (d *download) request(ctx context.Context, client *http.Client, method string, from int64) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, d.url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept-Encoding", "identity") // sizes and ranges are the file's
	if from > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", from))
	}
	r, err := client.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if errors.Is(err, errRedirect) {
			return nil, fmt.Errorf("%s: %w: get the file elsewhere", d.url, unwrapURL(err))
		}
		err = unwrapURL(err)
		if d.plain {
			return nil, fmt.Errorf("%s: %w: check the network, or bring the files here and name their directory", d.url, err)
		}
		return nil, fmt.Errorf("%s: %w: check the network, or bring the file here and prepare it with `skerry model split FILE.gguf -o DIR`", d.url, err)
	}
	return r, nil
}

// unwrapURL leaves out of an error of a request what is said of it already.
func unwrapURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

func (d *download) status(r *http.Response) error {
	if d.plain {
		return fmt.Errorf("%s: %s: check the address, or try again later", d.url, r.Status)
	}
	switch r.StatusCode {
	case http.StatusNotFound:
		return fmt.Errorf("%s: no such file: check owner, repository and file name", d.url)
	case http.StatusUnauthorized, http.StatusForbidden:
		return fmt.Errorf("%s: %s: the model needs an account: download it with a browser and prepare it with `skerry model split FILE.gguf -o DIR`", d.url, r.Status)
	}
	return fmt.Errorf("%s: %s: try again later", d.url, r.Status)
}

func fileSize(path string) int64 {
	st, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return st.Size()
}

// truncate cuts a file that is there.
func truncate(path string, n int64) error {
	err := os.Truncate(path, n)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}
