package server

import (
	"context"
	"errors"
	"strings"
	"testing"

	"skerry/appliance/decode"
	"skerry/appliance/infer"
)

// pictures has two tokens for each image, its first byte in them, and counts how many are used.
type pictures struct{ used int }

func (p *pictures) Use(_ context.Context, data []byte) ([]int32, func(), error) {
	if string(data) == "bad" {
		return nil, nil, infer.Errorf(infer.BadRequest, "images", "damaged")
	}
	p.used++
	return []int32{1<<30 + int32(data[0]), 1<<30 + 1000}, func() { p.used-- }, nil
}

func seeing(p *pictures, context int) *Model {
	m := &Model{Info: infer.Model{Name: "tiny", Context: context}, Vocab: letters{}, NoImages: "its bundle has no projector", Modes: []infer.Mode{decode.Collaborative, decode.CloudLed}}
	if p != nil {
		m.Images = p
	}
	return m
}

func show(at int, data string) infer.Image { return infer.Image{At: at, Data: []byte(data)} }

// Images are tokens in their places of the prompt, and are held for as long as it is.
func TestImagesInPrompt(t *testing.T) {
	p := &pictures{}
	m := seeing(p, 100)
	r := infer.Request{Messages: []infer.Message{{Role: "user", Content: "ab", Images: []infer.Image{show(1, "x")}}, {Role: "user", Content: "c", Images: []infer.Image{show(0, "y")}}}}
	images, release, err := m.images(t.Context(), r)
	if err != nil || p.used != 2 {
		t.Fatal(p.used, err)
	}
	ids, err := m.prompt(letters{}, r, images...)
	var got strings.Builder
	for _, id := range ids {
		switch {
		case id >= 1<<30+1000:
			got.WriteString("]")
		case id >= 1<<30:
			got.WriteString("[" + string(rune(id-1<<30)))
		default:
			got.WriteByte(byte(id))
		}
	}
	if err != nil || got.String() != "a[x]b\n[y]c\n" {
		t.Errorf("%q %v", got.String(), err)
	}
	if release(); p.used != 0 {
		t.Errorf("%d images are still used", p.used)
	}
}

func TestImagesRefused(t *testing.T) {
	one := infer.Request{Messages: []infer.Message{{Role: "user", Content: "a", Images: []infer.Image{show(0, "x"), show(0, "bad")}}}}
	for _, c := range []struct {
		m           *Model
		r           infer.Request
		param, want string
		code        infer.Code
	}{
		{seeing(nil, 100), one, "messages[0].images[0]", "model tiny has no vision: its bundle has no projector: send text only", infer.BadRequest},
		{seeing(&pictures{}, 100), one, "messages[0].images[1]", "damaged", infer.BadRequest},
		{seeing(&pictures{}, 1), one, "messages[0].images[0]", "2 tokens, context 1", infer.TooLong},
	} {
		_, release, err := c.m.images(t.Context(), c.r)
		release()
		var said *infer.Error
		if !errors.As(err, &said) || said.Code != c.code || said.Param != c.param || !strings.Contains(said.Message, c.want) {
			t.Errorf("%v, want %s: %s", err, c.param, c.want)
		}
		if p, ok := c.m.Images.(*pictures); ok && p.used != 0 {
			t.Errorf("%d images are still used", p.used)
		}
	}
}

// Images go by hidden states: a mode in which token ids go up is not chosen, and is refused where
// it was named.
func TestImageMode(t *testing.T) {
	m := seeing(&pictures{}, 100)
	if mode, err := m.imageMode(decode.CloudLed, ""); mode != decode.Collaborative || err != nil {
		t.Error(mode, err)
	}
	if _, err := m.imageMode(decode.CloudLed, decode.CloudLed); err == nil || !strings.Contains(err.Error(), "choose one of collaborative") {
		t.Error(err)
	}
	m.Modes = []infer.Mode{decode.CloudOnly}
	if _, err := m.imageMode(decode.CloudOnly, ""); err == nil || !strings.Contains(err.Error(), "send text only") {
		t.Error(err)
	}
}

// Where nothing keeps images, a session that somebody has named would be kept without its own: it
// is refused.
func TestImagesWithoutStore(t *testing.T) {
	c := &Core{}
	r := infer.Request{Session: "s", Messages: []infer.Message{{Role: "user", Images: []infer.Image{show(0, "x")}}}}
	if _, err := c.unkept(r); err == nil || !strings.Contains(err.Error(), "kept with no session here") {
		t.Error(err)
	}
	r.Unnamed = true
	if r, err := c.unkept(r); err != nil || r.Session != "" {
		t.Error(r.Session, err)
	}
}
