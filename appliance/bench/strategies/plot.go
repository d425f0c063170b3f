package strategies

import (
	"slices"

	"skerry/appliance/bench"
)

// WritePlot draws the total over cloud-only's against the RTT, a line for each
// variant, as SVG; it writes nothing of fewer than two links.
func (r *Report) WritePlot(path string) error {
	places := r.places()
	if n := len(places); n == 0 || !slices.ContainsFunc(places, func(p place) bool { return p.link != places[0].link }) {
		return nil
	}
	p := bench.LinePlot{Title: "Total time over cloud-only", X: "RTT in passes of the cloud, T", Y: "total over cloud-only's on the same link", Level: 1}
	p.Title += r.label(", ")
	index := map[string]int{}
	for _, x := range r.Rows {
		if x.Slow != places[0].slow { // of several edges the first is drawn
			continue
		}
		i, ok := index[x.Name]
		if !ok {
			i = len(p.Lines)
			index[x.Name] = i
			p.Lines = append(p.Lines, bench.Line{Name: x.Name, Dashed: i >= 6})
		}
		l := &p.Lines[i]
		l.X, l.Y = append(l.X, x.RTTOverT), append(l.Y, x.OverCloudOnly)
	}
	return p.Write(path)
}
