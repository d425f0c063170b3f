package main

import (
	"errors"
	"fmt"
)

type cloudEvictCmd struct {
	Device string `arg:"" optional:"" help:"The device; without one, all."`
	State  string `help:"The state directory of the cloud." placeholder:"DIR" type:"path"`
}

func (c *cloudEvictCmd) Run(out *console) error {
	state, err := stateDir(c.State)
	if err != nil {
		return err
	}
	got, err := orderCloud(state, order{Do: "evict", Name: c.Device})
	if err != nil {
		return err
	}
	out.note("%d contexts are freed; their boards send again what is wanted", got.Evicted)
	return nil
}

// orderCloud has the running cloud carry out what only it can.
func orderCloud(state string, o order) (outcome, error) {
	got, err := askCloud(state, o)
	if errors.Is(err, errNoCloud) {
		return got, fmt.Errorf("%w on %s: there is nothing to free or to show", err, state)
	}
	if err == nil && got.Error != "" {
		err = errors.New(got.Error)
	}
	return got, err
}
