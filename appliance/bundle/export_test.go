package bundle

// OffPeriod lets Split cut a model where its blocks do not repeat.
func OffPeriod(o Options) Options {
	o.offPeriod = true
	return o
}
