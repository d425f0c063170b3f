package main

import (
	"context"

	"skerry/appliance/cli"
	"skerry/appliance/cloudnode"
	"skerry/appliance/config"
)

// cloudFlags are how a verb finds the cloud that it works on.
type cloudFlags struct {
	State string `help:"Use the cloud with this state directory." placeholder:"DIR" type:"path"`
}

// operate works on the cloud, running or not.
func (f *cloudFlags) operate(ctx context.Context, out *cli.Console) (cloudnode.Operator, error) {
	state, err := config.StateDir(f.State)
	if err != nil {
		return nil, err
	}
	return cloudnode.Operate(ctx, state, warnings(out))
}

// operateRunning asks the cloud that runs.
func (f *cloudFlags) operateRunning(ctx context.Context) (cloudnode.Operator, error) {
	state, err := config.StateDir(f.State)
	if err != nil {
		return nil, err
	}
	return cloudnode.OperateRunning(ctx, state)
}
