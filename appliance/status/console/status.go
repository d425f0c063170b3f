package console

import (
	"strings"

	"skerry/appliance/status"
)

func (c *Console) showStatus() error {
	st, err := c.fetch()
	if err != nil {
		return c.err
	}
	var b strings.Builder
	status.ASCII(&b, st, c.width())
	return c.page(b.String())
}
