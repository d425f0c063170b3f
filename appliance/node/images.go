package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"skerry/appliance/bundle"
	"skerry/appliance/engine"
	"skerry/appliance/infer"
	"skerry/appliance/infer/picture"
	"skerry/appliance/server"
	"skerry/appliance/status"
)

// This file is about a bundle's projector, by which the board reads images.

// encoderScratch is what encoding an image takes beside the projector's weights, with the pixels
// that are decoded meanwhile.
const encoderScratch = 160 << 20

// retryImages is when to ask again while the images of others take all the memory there is for them.
const retryImages = 5 * time.Second

// projectorBytes are those that a bundle's projector takes in memory, 0 where there is none.
func projectorBytes(m *bundle.Manifest) int64 {
	if m.Projector == nil {
		return 0
	}
	return m.Projector.Bytes + encoderScratch
}

// loadProjector opens the bundle's projector, if it has one and the board computes the model's
// first blocks itself. One that cannot be used is no reason to refuse the rest: images returns
// why there is none.
func (o *opening) loadProjector(ctx context.Context) (images server.Images, why string) {
	if o.bundle.Manifest.Projector == nil {
		return nil, "its bundle has no projector (skerry model split MODEL --projector MMPROJ makes one that has)"
	}
	p, err := o.openProjector(ctx)
	if err != nil {
		o.loader.log.Warn("going on without the projector: images are refused", "why", status.OneLine(err))
		return nil, status.OneLine(err)
	}
	return pictures{p}, ""
}

func (o *opening) openProjector(ctx context.Context) (*engine.Projector, error) {
	if len(o.roles) == 0 || o.roles[0] == bundle.DraftModel || len(o.stages) == 0 {
		return nil, fmt.Errorf("this board computes none of the model's first blocks, into which images go")
	}
	if err := o.bundle.VerifyProjector(ctx); err != nil {
		return nil, err
	}
	first := o.stages[0]
	p, err := engine.OpenProjector(o.bundle.ProjectorPath(), first, engine.ProjectorOptions{Name: o.bundle.Manifest.Projector.SHA256, Threads: o.plan.Threads})
	if err != nil {
		return nil, err
	}
	first.SetProjector(p)
	o.closers = append(o.closers, p.Close)
	return p, nil
}

// readsImages says whether a bundle's projector is there to be loaded.
func readsImages(dir string, m *bundle.Manifest) bool {
	if m.Projector == nil {
		return false
	}
	b := bundle.Bundle{Dir: dir, Manifest: m}
	st, err := os.Stat(b.ProjectorPath())
	return err == nil && st.Size() == m.Projector.Bytes
}

// pictures are images as files, for the core.
type pictures struct{ projector *engine.Projector }

func (p pictures) Use(ctx context.Context, data []byte) ([]int32, func(), error) {
	var unreadable error
	tokens, release, err := p.projector.Use(ctx, data, func() (engine.Pixels, error) {
		size, rgb, err := picture.Decode(data)
		unreadable = err
		return engine.Pixels{Width: size.Width, Height: size.Height, RGB: rgb}, err
	})
	return tokens, release, imageError(unreadable, err)
}

// imageError is an error of the projector as clients have it.
func imageError(unreadable, err error) error {
	switch {
	case unreadable != nil:
		return infer.Errorf(infer.BadRequest, "images", "%s", unreadable)
	case errors.Is(err, engine.ErrImagesInUse):
		return &infer.Error{Code: infer.Busy, RetryAfter: retryImages, Message: fmt.Sprintf("%s: ask again in a moment", err)}
	}
	return err
}
