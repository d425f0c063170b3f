package config

import "reflect"

// Changes between two configurations, by key.
type Changes struct {
	Live    []string // taken up at once
	Restart []string // only by a restart
}

// Diff says what is different in a new configuration.
func Diff(old, new Config) (c Changes) {
	for _, f := range fields {
		if reflect.DeepEqual(f.of(&old).Interface(), f.of(&new).Interface()) {
			continue
		}
		if f.live() {
			c.Live = append(c.Live, f.key)
		} else {
			c.Restart = append(c.Restart, f.key)
		}
	}
	return c
}

// Reload is the configuration that a running daemon has after a change: the old one
// with what is live of the new.
func Reload(old, new Config) Config {
	for _, f := range fields {
		if f.live() {
			f.of(&old).Set(f.of(&new))
		}
	}
	return old
}
