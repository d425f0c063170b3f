package strategies

import "skerry/appliance/bench"

// WritePlot draws the total over cloud-only's against the RTT, a line for each
// variant, as SVG; it writes nothing of fewer than two links.
func (r *Report) WritePlot(path string) error {
	if len(r.links()) < 2 {
		return nil
	}
	p := bench.LinePlot{Title: "Total time over cloud-only", X: "RTT in passes of the cloud, T", Y: "total over cloud-only's on the same link", Level: 1}
	p.Title += r.label(", ")
	index := map[string]int{}
	for _, x := range r.Rows {
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
