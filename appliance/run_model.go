package main

import (
	"context"
	"errors"

	"skerry/appliance/admin"
	"skerry/appliance/library"
	"skerry/appliance/status"
)

// takeModel has the chat go on with another model, or says which one answers. What was said
// stays. Where another cannot be had everything is as it was.
func (r *conversation) takeModel(ctx context.Context, name string) (err error) {
	was, had, dir := r.model, r.Bundle, ""
	if name == "" {
		r.out.Note("%s, in mode %s. /model NAME takes another one; skerry model ls lists them.", was, r.opt.Mode)
		return nil
	}
	if d, ok := r.from.(*admin.Client); ok {
		if name, err = d.Model(ctx, name); err == nil {
			r.asked, r.model = name, name
		}
	} else if dir, err = library.PathOf(name); err == nil {
		err = r.reopen(ctx, dir)
	}
	if err == nil {
		r.out.Note("%s answers from here on.", r.model)
	} else if r.out.Note("skerry: %s", status.OneLine(err)); dir != "" {
		return r.reopen(ctx, had)
	}
	return nil
}

// reopen closes what answers, and opens it with another bundle.
func (r *conversation) reopen(ctx context.Context, bundle string) error {
	err := r.close()
	r.Bundle, r.board, r.local, r.closers = bundle, nil, nil, nil
	return errors.Join(err, r.open(ctx))
}
