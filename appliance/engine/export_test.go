package engine

// TryAgain has the GPU used that was given up.
func TryAgain() {
	device.mu.Lock()
	defer device.mu.Unlock()
	device.not = ""
}

// ProjectorRow is the row that a token of an image stands for.
func ProjectorRow(p *Projector, id int32) []float32 { return p.row(id) }
