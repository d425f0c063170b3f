package server

import (
	"context"
	"errors"
	"slices"

	"skerry/appliance/infer"
	"skerry/appliance/infer/picture"
)

// ImageStore keeps the images of sessions, of which the journal has the sums alone.
// *picture.Store is one.
type ImageStore interface {
	// Keep writes images of a session down, durably; those of one whose name nobody has chosen
	// leave place to others. Errors that wrap picture.ErrFull are one line that says what to do.
	Keep(session string, images map[string][]byte, unnamed bool) error
	// Image of a session by its sum.
	Image(session, sum string) ([]byte, error)
	// Retain deletes the images of a session but those of some sums.
	Retain(session string, sums []string) error
	// Tidy deletes the images of all sessions but those that there are.
	Tidy(sessions func() []string) error
}

// sums of the images in messages.
func sums(messages []infer.Message) (all []string) {
	for _, m := range messages {
		for _, img := range m.Images {
			all = append(all, img.Sum)
		}
	}
	return all
}

// withImages are messages of a session with their images, which have to be there.
func (c *Core) withImages(session string, messages []infer.Message) ([]infer.Message, error) {
	if !infer.HasImages(messages) {
		return messages, nil
	}
	messages = slices.Clone(messages)
	for i := range messages {
		messages[i].Images = slices.Clone(messages[i].Images)
		for k := range messages[i].Images {
			img := &messages[i].Images[k]
			if len(img.Data) > 0 {
				continue
			}
			err := errors.New("this daemon keeps none")
			if c.opt.Images != nil {
				img.Data, err = c.opt.Images.Image(session, img.Sum)
			}
			if err != nil {
				return nil, infer.Errorf(infer.NoSession, "session", "image %d of message %d of session %s is not kept any more (%s): begin another session, or send the whole conversation", k+1, i+1, session, oneLine(err))
			}
		}
	}
	return messages, nil
}

// keepImages keeps those of a question with its session.
func (c *Core) keepImages(j *job) error {
	if len(j.images) == 0 {
		return nil
	}
	err := c.opt.Images.Keep(j.Session(), j.images, j.Unnamed)
	if errors.Is(err, picture.ErrFull) { // perhaps of what nobody has any more
		c.tidyImages()
		err = c.opt.Images.Keep(j.Session(), j.images, j.Unnamed)
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, picture.ErrFull):
		return infer.Errorf(infer.BadRequest, "session", "session %s: %s", j.Session(), oneLine(err))
	}
	return infer.Errorf(infer.Internal, "session", "session %s: an image of it cannot be kept (%s): ask without a session, or make room", j.Session(), oneLine(err))
}

// imagesOf are the images of messages by their sums.
func imagesOf(messages []infer.Message) map[string][]byte {
	all := map[string][]byte{}
	for i, m := range infer.ImageSums(messages) {
		for k, img := range m.Images {
			all[img.Sum] = messages[i].Images[k].Data
		}
	}
	return all
}

// dropImages deletes those that the session had and its conversation has no more, once the
// journal has the new one.
func (c *Core) dropImages(j *job) {
	if c.opt.Images == nil {
		return
	}
	if err := c.opt.Images.Retain(j.Session(), sums(j.asked)); err != nil {
		c.opt.Log.Warn("images that a session has no more are still on the disk", "session", j.Session(), "err", err)
	}
}

// reopenImages has the images of an answer that is gone on with be there, as rows by the numbers
// that its prompt has, until it is freed.
func (c *Core) reopenImages(ctx context.Context, m *Model, j *job) error {
	messages, err := c.withImages(j.Session(), j.asked)
	if err != nil {
		return err
	}
	images, release, err := m.images(ctx, infer.Request{Messages: messages, Options: j.Request.Options})
	j.release = release
	if err != nil {
		return err
	}
	for _, tokens := range images {
		if i := slices.IndexFunc(tokens, func(id int32) bool { return !slices.Contains(j.prompt, id) }); i >= 0 {
			return infer.Errorf(infer.BadRequest, "session", "session %s has an answer that was cut, to an image that this model reads by another projector: ask that anew", j.Session())
		}
	}
	return nil
}

// tidyImages deletes the images of sessions that there are no more.
func (c *Core) tidyImages() {
	if c.opt.Images == nil || c.opt.Journal == nil {
		return
	}
	err := c.opt.Images.Tidy(func() (all []string) {
		kept, _ := c.opt.Journal.List(Query{By: infer.By{Every: true}})
		for _, s := range kept {
			all = append(all, s.ID)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		for session := range c.sessions {
			all = append(all, session)
		}
		return all
	})
	if err != nil {
		c.opt.Log.Warn("images of sessions that there are no more are still on the disk", "err", err)
	}
}

// SessionImage is an image of a session that by may see, by its sum. Errors are *infer.Error.
func (c *Core) SessionImage(by infer.By, session, sum string) ([]byte, error) {
	if _, _, _, err := c.find(by, session); err != nil {
		return nil, err
	}
	messages, err := c.withImages(session, []infer.Message{{Images: []infer.Image{{Sum: sum}}}})
	if err != nil {
		return nil, err
	}
	return messages[0].Images[0].Data, nil
}
