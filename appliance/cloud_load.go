package main

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"

	"skerry/cloudlink/partition"
)

type cloudLoadCmd struct {
	State string `help:"The state directory of the cloud." placeholder:"DIR" type:"path"`
	JSON  bool   `name:"json" help:"As JSON, with every counter."`
}

// cloudLoad is what a running cloud holds and has computed, in all and by board;
// sizes are in bytes, times in nanoseconds.
type cloudLoad struct {
	Stats   partition.Stats         `json:"stats"`
	Devices []partition.DeviceStats `json:"devices"`
}

func (c *cloudLoadCmd) Run(out *console) error {
	state, err := stateDir(c.State)
	if err != nil {
		return err
	}
	got, err := orderCloud(state, order{Do: "load"})
	if err != nil {
		return err
	}
	load := got.Load
	if c.JSON {
		return json.NewEncoder(out.stdout).Encode(load)
	}
	s, m := load.Stats, load.Stats.Memory
	fmt.Fprintf(out.stdout, "memory    %s of %s: queues %s, answers %s, sessions %s\n", bytesText(m.Total()), bytesText(m.Budget),
		bytesText(m.Queues), bytesText(m.Outputs), bytesText(m.Fixed))
	fmt.Fprintf(out.stdout, "contexts  %d sessions, %d kept for boards that are away, %d evicted\n", s.Sessions, s.Contexts, s.Evicted)
	fmt.Fprintf(out.stdout, "work      %d positions, %d answers; a newcomer would wait %s; %d asks refused as busy\n", s.Rows, s.Answers, s.Wait, s.Busy)
	w := tabwriter.NewWriter(out.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "DEVICE\tCONNECTIONS\tSESSIONS\tQUEUED\tUNREAD\tPOSITIONS\tANSWERS\tREFUSED\tBUSY")
	for _, d := range load.Devices {
		fmt.Fprintf(w, "%s\t%d\t%d\t%s\t%s\t%d\t%d\t%d\t%d\n", d.Device, d.Connections, d.Sessions,
			bytesText(d.Queued), bytesText(d.Outputs), d.Rows, d.Answers, d.Refused, d.Busy)
	}
	return w.Flush()
}
