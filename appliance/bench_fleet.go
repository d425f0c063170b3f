package main

import "skerry/appliance/bench/fleet"

type benchFleetCmd struct{ fleet.Flags }

// Help says what of it is real.
func (c *benchFleetCmd) Help() string {
	return `Workers are chosen, passes are shared and boards dial again by the program's own
code, on virtual time; what machines, links and etcd take is given by the flags.

Examples:
  skerry bench fleet --workers 10 --boards 10000 --kill 10%
                                            workers die: who is served again when
  skerry bench fleet --workers 1000 --boards 1000000 --cut 50% --cut-for 4m
                                            a region is off and comes back at once
`
}
