package exchange

import (
	"encoding/base64"
	"strings"

	"skerry/appliance/infer"
	"skerry/appliance/infer/picture"
)

// mostImages are in one request.
const mostImages = 64

// ReadImages turns what a client wrote in place of images into their bytes. A model that reads
// none refuses them before anything is decoded.
func (s *Server) ReadImages(q *infer.Request) error {
	if !infer.HasImages(q.Messages) {
		return nil
	}
	if len(s.Models()) > 0 { // else it is the backend that says why there is none
		m, err := s.Find(q.Model)
		if err != nil {
			return err
		}
		if !m.Vision {
			return noVision(q.Messages, m.Name)
		}
	}
	count := 0
	for i := range q.Messages {
		for k := range q.Messages[i].Images {
			img := &q.Messages[i].Images[k]
			if count++; count > mostImages {
				return BadRequest(img.Param, "there are over %d images: send fewer", mostImages)
			}
			if err := readImage(img); err != nil {
				return err
			}
		}
	}
	return nil
}

// readImage fills in the bytes of an image.
func readImage(img *infer.Image) error {
	if img.Source == "" && img.Data != nil { // of a conversation that is kept, or read before
		return nil
	}
	text := img.Source
	if head, rest, ok := strings.Cut(text, ","); ok && strings.HasPrefix(strings.ToLower(head), "data:") {
		if !strings.HasSuffix(strings.ToLower(head), ";base64") {
			return BadRequest(img.Param, "the image is a data: address that is not in base64: send data:image/png;base64,...")
		}
		text = rest
	}
	if scheme, _, ok := strings.Cut(text, "://"); ok && len(scheme) < 16 {
		return BadRequest(img.Param, "the image is an address (%s://), and this server fetches nothing: send the image itself, as data:image/png;base64,...", Clip(scheme))
	}
	data, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if err != nil {
		if data, err = base64.RawStdEncoding.DecodeString(strings.TrimSpace(text)); err != nil {
			return BadRequest(img.Param, "the image is not base64: send the bytes of a file as base64, or data:image/png;base64,...")
		}
	}
	if _, err := picture.Check(data); err != nil {
		return BadRequest(img.Param, "%s", err)
	}
	img.Data, img.Source = data, ""
	return nil
}

// noVision refuses images of a model that has no projector.
func noVision(messages []infer.Message, model string) error {
	for _, m := range messages {
		for _, img := range m.Images {
			return BadRequest(img.Param, "model %s has no vision, since its bundle has no projector that can be used: send text only, or ask a model that was made with skerry model split MODEL --projector MMPROJ", Clip(model))
		}
	}
	return nil
}
