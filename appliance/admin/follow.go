package admin

import (
	"context"
	"encoding/json"

	"skerry/appliance/status"
)

// FollowStatus shows the status and every later one until ctx is done, which is no error,
// or show fails. While there is none, lost is told once of each thing that is wrong.
func (c *Client) FollowStatus(ctx context.Context, show func(status.Status) error, lost func(error)) error {
	var said string
	for e, err := range c.Events(ctx, status.KindStatus) {
		if err != nil {
			if text := err.Error(); text != said {
				lost(err)
				said = text
			}
			continue
		}
		var s status.Status
		if err := json.Unmarshal(e.Data, &s); err != nil {
			continue
		}
		said = ""
		if err := show(s); err != nil {
			return err
		}
	}
	return nil
}
