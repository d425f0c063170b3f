package engine

// TryAgain has the GPU used that was given up.
func TryAgain() {
	device.mu.Lock()
	defer device.mu.Unlock()
	device.not = ""
}
