package server

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"skerry/appliance/chat/template"
	"skerry/appliance/decode"
	"skerry/appliance/infer"
)

// This file is about images in a prompt. Their rows are input embeddings of the first stage and
// exist on this board alone: a cloud is sent the hidden states behind them, never token ids.

// noVision refuses an image of a model that reads none, which was sent in a field; why is half
// a sentence.
func noVision(param, model, why string) error {
	return infer.Errorf(infer.BadRequest, param, "model %s has no vision: %s: send text only", model, why)
}

// images are the tokens of a request's images, in the order of the messages. They are to be
// released, whatever else fails.
func (m *Model) images(ctx context.Context, r infer.Request) (all [][]int32, release func(), err error) {
	var releases []func()
	release = func() {
		for _, f := range releases {
			f()
		}
	}
	count, context := 0, m.context(r)
	for i, x := range r.Messages {
		for k, img := range x.Images {
			param := img.Param
			if param == "" {
				param = fmt.Sprintf("messages[%d].images[%d]", i, k)
			}
			if m.Images == nil && img.Sum != "" { // it came with the session
				return nil, release, infer.Errorf(infer.BadRequest, "session", "model %s has no vision: %s: ask a model that has, as the conversation has an image, or begin another session", m.Info.Name, m.NoImages)
			}
			if m.Images == nil {
				return nil, release, noVision(param, m.Info.Name, m.NoImages)
			}
			tokens, done, err := m.Images.Use(ctx, img.Data)
			if err != nil {
				return nil, release, withParam(err, param)
			}
			releases, all = append(releases, done), append(all, tokens)
			if count += len(tokens); count > context {
				return nil, release, infer.TooLongErrorf(count, context, param, "the images up to %s are %d tokens, context %d: send fewer or smaller ones, or raise num_ctx", param, count, context)
			}
		}
	}
	return all, release, nil
}

// shown says whether a rendered prompt has all of so many images.
func shown(parts []template.Part, images int) error {
	for n := range images {
		if !slices.ContainsFunc(parts, func(p template.Part) bool { return p.Image == n+1 }) {
			return infer.Errorf(infer.BadRequest, "messages", "the model's chat template leaves out image %d of %d: send it in the last message of the user", n+1, images)
		}
	}
	return nil
}

// seesImages says whether an answer to a prompt with images may be decoded in a mode: not where
// token ids go up, nor where the cloud goes on from them by itself.
func seesImages(m infer.Mode) bool { return !decode.SpecOf(m).Upload.Tokens && m != decode.CloudLed }

// imageMode is the mode for a request with images in place of the usual one. One that the
// request itself names is refused where it does not do.
func (m *Model) imageMode(usual, asked infer.Mode) (infer.Mode, error) {
	if seesImages(usual) {
		return usual, nil
	}
	able := slices.DeleteFunc(slices.Clone(m.Modes), func(o infer.Mode) bool { return !seesImages(o) })
	if asked == "" && len(able) > 0 {
		return able[0], nil
	}
	hint := "send text only"
	if len(able) > 0 {
		hint = "choose one of " + strings.Trim(fmt.Sprint(able), "[]")
	}
	return usual, infer.Errorf(infer.BadRequest, "mode", "in mode %s the cloud is sent token ids, which show it no image: %s", usual, hint)
}

// unkept has a request with images be answered without a session that nobody has named, and
// refuses one that was, where nothing keeps images.
func (c *Core) unkept(r infer.Request) (infer.Request, error) {
	if !infer.HasImages(r.Messages) || r.Session == "" || c.opt.Images != nil && c.opt.Journal != nil {
		return r, nil
	}
	if !r.Unnamed {
		return r, infer.Errorf(infer.BadRequest, "session", "an image is kept with no session here: send it without one (no X-Skerry-Session, no skerry.session), with the whole conversation each time")
	}
	r.Session = ""
	return r, nil
}
