package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"skerry/appliance/status"
)

// Client of a daemon. Its methods may be called concurrently. Errors are
// *Unreachable where no daemon answers and *Error where one does, with a no.
type Client struct {
	sockets []string
	http    *http.Client
	pause   time.Duration // between attempts of Events, doubled up to longestPause
}

// Dial makes a client of the daemon at the first of the sockets that answers. It
// does not connect yet.
func Dial(sockets ...string) *Client {
	c := &Client{sockets: sockets, pause: firstPause}
	c.http = &http.Client{Transport: &http.Transport{
		DialContext:        func(ctx context.Context, _, _ string) (net.Conn, error) { return connect(ctx, sockets) },
		DisableCompression: true,
		IdleConnTimeout:    time.Minute,
	}}
	return c
}

// Connect says whether somebody listens at one of the sockets, with an *Unreachable where
// nobody does.
func (c *Client) Connect(ctx context.Context) error {
	conn, err := connect(ctx, c.sockets)
	if err != nil {
		return err
	}
	return conn.Close()
}

// Close ends the connections that are idle.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// HTTP speaks to the daemon by any URL whose host is "skerry", as
// http://skerry/v1/chat/completions.
func (c *Client) HTTP() *http.Client { return c.http }

// Status of the daemon.
func (c *Client) Status(ctx context.Context) (s status.Status, err error) {
	return s, c.call(ctx, "GET", "/api/v1/status", &s)
}

// Offer is the update that the cloud has told the daemon of; one without a version where it
// has told of none, or no daemon runs.
func (c *Client) Offer(ctx context.Context) (status.UpdateOffer, error) {
	s, err := c.Status(ctx)
	if u := (*Unreachable)(nil); errors.As(err, &u) && u.NotRunning() {
		return status.UpdateOffer{}, nil
	}
	if err != nil || s.Update == nil || s.Update.Offer == nil {
		return status.UpdateOffer{}, err
	}
	return *s.Update.Offer, nil
}

// Logs are the newest n lines of the daemon's log, the newest last; all that it
// remembers for 0.
func (c *Client) Logs(ctx context.Context, n int) (lines []status.Record, err error) {
	return lines, c.call(ctx, "GET", "/api/v1/logs?n="+strconv.Itoa(n), &lines)
}

// pageSize is how many sessions Sessions asks for at a time.
const pageSize = 200

// Sessions kept and under way, the newest first. They are asked for in pages: one that is
// changed meanwhile stands where it was first.
func (c *Client) Sessions(ctx context.Context) (list []status.Session, err error) {
	have := map[string]bool{}
	for path := "/api/v1/sessions?limit=" + strconv.Itoa(pageSize); path != ""; {
		var page []status.Session
		header, err := c.send(ctx, "GET", path, nil, &page)
		if err != nil {
			return nil, err
		}
		for _, s := range page {
			if !have[s.ID] {
				list = append(list, s)
			}
			have[s.ID] = true
		}
		path = nextPage(header)
	}
	return list, nil
}

// nextPage is the address of a Link header (RFC 8288) whose relation is next, "" for none.
func nextPage(h http.Header) string {
	target, ok := strings.CutSuffix(h.Get("Link"), `>; rel="next"`)
	path, open := strings.CutPrefix(target, "<")
	if !ok || !open || !strings.HasPrefix(path, "/") {
		return ""
	}
	return path
}

// Session in full.
func (c *Client) Session(ctx context.Context, id string) (s Session, err error) {
	return s, c.call(ctx, "GET", "/api/v1/sessions/"+url.PathEscape(id), &s)
}

// Delete forgets a session.
func (c *Client) Delete(ctx context.Context, id string) error {
	return c.call(ctx, "DELETE", "/api/v1/sessions/"+url.PathEscape(id), nil)
}

// Cancel ends the answer under way in a session, for good and as it is.
func (c *Client) Cancel(ctx context.Context, id string) error {
	return c.call(ctx, "POST", "/api/v1/sessions/"+url.PathEscape(id)+"/cancel", nil)
}

// Export writes a session to w.
func (c *Client) Export(ctx context.Context, id string, f Format, w io.Writer) error {
	return c.copy(ctx, "/api/v1/sessions/"+url.PathEscape(id)+"/export?format="+url.QueryEscape(string(f)), w)
}

// Reload has the configuration read again.
func (c *Client) Reload(ctx context.Context) (r Reloaded, err error) {
	return r, c.call(ctx, "POST", "/api/v1/reload", &r)
}

// Config in force, as TOML.
func (c *Client) Config(ctx context.Context) (string, error) {
	var b bytes.Buffer
	err := c.copy(ctx, "/api/v1/config", &b)
	return b.String(), err
}

// RetryLink has the cloud dialled now.
func (c *Client) RetryLink(ctx context.Context) error {
	return c.call(ctx, "POST", "/api/v1/link/retry", nil)
}

// Power ends the daemon or the machine.
func (c *Client) Power(ctx context.Context, p Power) error {
	return c.call(ctx, "POST", "/api/v1/"+string(p), nil)
}

// largestReply bounds what is read of a reply.
const largestReply = 64 << 20

// call reads the reply, JSON, into out, which may be nil.
func (c *Client) call(ctx context.Context, method, path string, out any) error {
	_, err := c.send(ctx, method, path, nil, out)
	return err
}

// send is call with a body, JSON, and returns the reply's header too.
func (c *Client) send(ctx context.Context, method, path string, body []byte, out any) (http.Header, error) {
	resp, err := c.do(ctx, method, path, http.Header{"Accept": {"application/json"}, "Content-Type": {"application/json"}}, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if out == nil {
		return resp.Header, nil
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, largestReply)).Decode(out); err != nil {
		return nil, fmt.Errorf("the daemon's reply to %s is not understood: %w (is it of another version? skerry version)", path, err)
	}
	return resp.Header, nil
}

func (c *Client) copy(ctx context.Context, path string, w io.Writer) error {
	resp, err := c.do(ctx, "GET", path, http.Header{}, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(w, io.LimitReader(resp.Body, largestReply))
	return err
}

// do sends a request; a response other than 2xx is an *Error.
func (c *Client) do(ctx context.Context, method, path string, header http.Header, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://skerry"+path, body)
	if err != nil {
		return nil, err
	}
	req.Header = header
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.why(ctx, err)
	}
	if resp.StatusCode/100 == 2 {
		return resp, nil
	}
	defer resp.Body.Close()
	return nil, refusal(resp)
}
