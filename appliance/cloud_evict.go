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
	got, err := askCloud(state, order{Do: "evict", Name: c.Device})
	if errors.Is(err, errNoCloud) {
		return fmt.Errorf("%w on %s: there is nothing to free", err, state)
	}
	if err == nil && got.Error != "" {
		err = errors.New(got.Error)
	}
	if err != nil {
		return err
	}
	out.note("%d contexts are freed; their boards send again what is wanted", got.Evicted)
	return nil
}
