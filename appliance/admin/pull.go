package admin

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// PulledTo begins the line in which the daemon says where a bundle lies.
const PulledTo = "the bundle lies in "

// pullLine is a line of what the daemon says of a pull.
type pullLine struct {
	Status    string          `json:"status"`
	Total     int64           `json:"total"`
	Completed int64           `json:"completed"`
	Error     json.RawMessage `json:"error"`
}

// Pull has the daemon fetch a model, as "cloud:smollm2", and returns the directory of its
// bundle. step is told how far it is, in bytes. Without a daemon the error is an
// *Unreachable.
func (c *Client) Pull(ctx context.Context, model string, step func(what string, done, total int64)) (dir string, err error) {
	return c.make(ctx, "/api/pull", map[string]any{"model": model}, step)
}

// Create has the daemon make a model of files that were uploaded, by name their digests, and
// returns the directory of its bundle.
func (c *Client) Create(ctx context.Context, model string, files map[string]string, step func(what string, done, total int64)) (dir string, err error) {
	return c.make(ctx, "/api/create", map[string]any{"model": model, "files": files}, step)
}

// Upload hands the daemon a file of that digest and so many bytes, unless it has it.
func (c *Client) Upload(ctx context.Context, digest string, size int64, r io.Reader) error {
	path := "/api/blobs/" + digest
	resp, err := c.do(ctx, http.MethodHead, path, http.Header{}, nil)
	if err == nil {
		resp.Body.Close()
		return nil
	}
	if errors.As(err, new(*Unreachable)) || ctx.Err() != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://skerry"+path, r)
	if err != nil {
		return err
	}
	req.ContentLength = size
	if resp, err = c.http.Do(req); err != nil {
		return c.why(ctx, err)
	}
	defer resp.Body.Close()
	return ollamaError(resp)
}

// RemoveModel has the daemon remove a model, unloading it first.
func (c *Client) RemoveModel(ctx context.Context, model string) error {
	return c.change(ctx, http.MethodDelete, "/api/delete", map[string]string{"model": model})
}

// CopyModel has the daemon give a model a further name.
func (c *Client) CopyModel(ctx context.Context, from, to string) error {
	return c.change(ctx, http.MethodPost, "/api/copy", map[string]string{"source": from, "destination": to})
}

// Model is one of the daemon's.
type Model struct {
	Name string `json:"name"`
	Size int64  `json:"size"` // bytes
}

// Models that the daemon has.
func (c *Client) Models(ctx context.Context) ([]Model, error) {
	var list struct{ Models []Model }
	return list.Models, c.call(ctx, http.MethodGet, "/api/tags", &list)
}

// change sends a request, whose answer is that it is done.
func (c *Client) change(ctx context.Context, method, path string, body any) error {
	resp, err := c.post(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return ollamaError(resp)
}

func (c *Client) post(ctx context.Context, method, path string, body any) (*http.Response, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://skerry"+path, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.why(ctx, err)
	}
	return resp, nil
}

// ollamaError is what a reply of Ollama's API says is wrong, nil where it is 2xx.
func ollamaError(resp *http.Response) error {
	if resp.StatusCode/100 == 2 {
		return nil
	}
	var said struct{ Error json.RawMessage }
	if json.NewDecoder(io.LimitReader(resp.Body, largestReply)).Decode(&said) != nil || len(said.Error) == 0 {
		return fmt.Errorf("the daemon answered %s: see skerry logs", resp.Status)
	}
	return errors.New(errorText(said.Error))
}

// make has the daemon do what it tells the progress of.
func (c *Client) make(ctx context.Context, path string, body any, step func(what string, done, total int64)) (dir string, err error) {
	if _, err := c.Status(ctx); err != nil {
		return "", err
	}
	resp, err := c.post(ctx, http.MethodPost, path, body)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(io.LimitReader(resp.Body, 64<<20))
	done := false
	for lines.Scan() {
		var l pullLine
		if json.Unmarshal(lines.Bytes(), &l) != nil {
			continue
		}
		if len(l.Error) > 0 {
			return "", errors.New(errorText(l.Error))
		}
		if at, ok := strings.CutPrefix(l.Status, PulledTo); ok {
			dir = at
			continue
		}
		if done = l.Status == "success"; !done {
			step(l.Status, l.Completed, l.Total)
		}
	}
	switch {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case done && dir != "":
		return dir, nil
	}
	return "", fmt.Errorf("the daemon answered %s and did not finish: run the command again to go on, or see skerry logs", resp.Status)
}

// errorText is the text of an error, which is a string or has a message.
func errorText(raw json.RawMessage) string {
	var text string
	var with struct{ Message string }
	if json.Unmarshal(raw, &text) != nil {
		json.Unmarshal(raw, &with)
	}
	return cmp.Or(text, with.Message, string(raw))
}
