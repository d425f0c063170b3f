package page

import (
	"cmp"
	"fmt"

	"skerry/appliance/infer"
	"skerry/appliance/status"
)

// Heights of the drawing, in pixels: the blocks of the board above those of whoever
// computes the rest.
const (
	boardLane = 40
	farLane   = 106
	laneHigh  = 30
)

// drawing of a model's blocks. Positions across are shares of its width.
type drawing struct {
	Summary string
	Far     string // the lower lane: cloud, nobody, "" without one
	Height  int
	AxisY   int
	Stages  []stage
	Exits   []exit
	Split   *split
	Axis    []mark
}

type stage struct {
	status.Stage
	Class   string
	Pattern string
	Y       int
	Blocks  []float64 // where each begins
	Width   float64   // of each
	Active  bool
	Now     string
}

type exit struct {
	status.Exit
	Key, Letter string
	X           float64
}

// Threshold for its label.
func (e exit) Threshold() string { return fmt.Sprintf("≥ %.2f", e.Exit.Threshold) }

// split is where the board's first hidden states go up.
type split struct {
	X           float64
	Class, Text string
	DX          int
	Anchor      string
}

// mark is a text below an axis.
type mark struct {
	X            float64
	Text, Anchor string
}

// draw returns nil without a model.
func draw(s status.Status) *drawing {
	m := s.Model
	if m == nil || m.Blocks <= 0 {
		return nil
	}
	d := &drawing{Height: boardLane + laneHigh + 20, AxisY: boardLane + laneHigh + 16}
	n := float64(m.Blocks)
	onBoard, splitAt, last := 0, 0, 0
	for _, st := range m.Stages {
		next := stage{Stage: st, Y: boardLane, Width: 0.84 / n}
		for b := max(st.From, 0); b < min(st.To, m.Blocks); b++ {
			next.Blocks = append(next.Blocks, (float64(b)+0.08)/n)
		}
		if st.Where == "board" {
			onBoard++
			last = max(last, min(st.To, m.Blocks))
			next.Class = fmt.Sprintf("exit%d", min(onBoard, 2))
			if len(m.Exits) == 0 && m.Draft == nil {
				next.Class = "unsplit"
			}
		} else {
			if d.Far == "" || st.From < splitAt {
				splitAt = st.From
			}
			next.Class, next.Y, d.Far = cmp.Or(st.Where, "nobody"), farLane, cmp.Or(st.Where, "nobody")
		}
		next.Pattern = sourcePattern(next.Class)
		next.Now, next.Active = doing(s, st.Where)
		d.Stages = append(d.Stages, next)
	}
	for i, e := range m.Exits {
		key := infer.Sources[min(i, 1)]
		d.Exits = append(d.Exits, exit{Exit: e, Key: string(key.Key), Letter: key.Letter, X: float64(e.Block) / n})
	}
	d.Summary = "This board computes all of them."
	if len(m.Stages) == 0 && m.Draft != nil {
		d.Summary = "Nobody computes them: the draft model speaks."
	}
	d.Axis = []mark{{0, "block 0", "start"}, {1, fmt.Sprint(m.Blocks), "end"}}
	if d.Far != "" {
		d.Height, d.AxisY = farLane+laneHigh+20, farLane+laneHigh+16
		d.Split = splitOf(s, float64(splitAt)/n, d.Far)
		d.Summary = fmt.Sprintf("This board computes the first %d, %s those from %d on.", last, map[string]string{"cloud": "the cloud", "nobody": "nobody"}[d.Far], splitAt)
		if x := float64(splitAt) / n; x > 0.15 && x < 0.9 {
			d.Axis = append(d.Axis, mark{x, fmt.Sprint(splitAt), "middle"})
		}
	}
	return d
}

// splitOf says what goes up at the split.
func splitOf(s status.Status, x float64, far string) *split {
	p := &split{X: x, Class: "up", Text: "hidden states go up", DX: 8, Anchor: "start"}
	switch {
	case far == "nobody":
		p.Class, p.Text = "cut", "no cloud"
	case !s.Link.Connected:
		p.Class, p.Text = "cut", "link down"
	case s.Mode == "standalone":
		p.Class, p.Text = "cut", "not asked"
	case s.Link.Encoding != "":
		p.Text += ", " + s.Link.Encoding
	}
	if x > 0.55 {
		p.DX, p.Anchor = -8, "end"
	}
	return p
}

// doing says what whoever has a stage does with it at present.
func doing(s status.Status, where string) (string, bool) {
	switch {
	case where == "nobody" || where == "":
		return "never computed", false
	case where == "cloud" && !s.Link.Connected:
		return "out of reach", false
	case where == "cloud" && s.Mode == "standalone":
		return "not asked", false
	case where == "board" && s.Mode == "cloud-only":
		return "kept warm", false
	case s.Queue.Running > 0:
		return "computing", true
	default:
		return "ready", true
	}
}
