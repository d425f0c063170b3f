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
	if _, err := c.Status(ctx); err != nil {
		return "", err
	}
	body, err := json.Marshal(map[string]string{"model": model})
	if err != nil {
		return "", err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://skerry/api/pull", bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.http.Do(req)
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
