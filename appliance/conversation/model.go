package conversation

import (
	"context"
	"errors"

	"skerry/appliance/admin"
	"skerry/appliance/library"
	"skerry/appliance/status"
)

// takeModel has the chat go on with another model, or says which one answers. What was said
// stays. Where another cannot be had everything is as it was.
func (c *Conversation) takeModel(ctx context.Context, name string) (err error) {
	was, had, dir := c.model, c.Bundle, ""
	if name == "" {
		c.out.Tell("%s, in mode %s. /model NAME takes another one; skerry model ls lists them.", was, c.opt.Mode)
		return nil
	}
	if d, ok := c.from.(*admin.Client); ok {
		if name, err = d.Model(ctx, name); err == nil {
			c.asked, c.model = name, name
		}
	} else if dir, err = library.PathOf(name); err == nil {
		err = c.reopen(ctx, dir)
	}
	if err == nil {
		c.out.Tell("%s answers from here on.", c.model)
	} else if c.out.Tell("skerry: %s", status.OneLine(err)); dir != "" {
		return c.reopen(ctx, had)
	}
	return nil
}

// reopen closes what answers, and opens it with another bundle.
func (c *Conversation) reopen(ctx context.Context, bundle string) error {
	err := c.Close()
	c.Bundle, c.board, c.local, c.closers = bundle, nil, nil, nil
	return errors.Join(err, c.Open(ctx))
}
