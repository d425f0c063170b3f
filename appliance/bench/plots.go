package bench

func (r Report) WritePlots(dir string) error { return nil }
