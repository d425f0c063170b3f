package server

import (
	"testing"

	"skerry/appliance/decode"
	"skerry/appliance/infer"
)

func TestModeOfAnAnswer(t *testing.T) {
	m := &Model{Modes: []infer.Mode{decode.Collaborative, decode.Standalone}}
	for _, c := range []struct {
		wanted, asked, chosen, want infer.Mode
	}{
		{infer.Auto, "", "", decode.Collaborative},
		{infer.Auto, "", decode.Standalone, decode.Standalone},
		{infer.Auto, "", decode.Unsplit, decode.Collaborative}, // which is not to be had
		{infer.Auto, decode.Collaborative, decode.Standalone, decode.Collaborative},
		{decode.Collaborative, "", decode.Standalone, decode.Collaborative},
	} {
		core := &Core{opt: Options{Choose: func(string, []infer.Mode) infer.Mode { return c.chosen }}}
		if got := core.choose(m, c.wanted, c.asked); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
	if got := new(Core).choose(m, infer.Auto, ""); got != decode.Collaborative {
		t.Errorf("nobody chooses: %s", got)
	}
}
