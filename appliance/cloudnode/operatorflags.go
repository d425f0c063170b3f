package cloudnode

import (
	"context"

	"skerry/appliance/cli"
	"skerry/appliance/config"
)

// OperatorFlags is how a verb finds the cloud that it works on.
type OperatorFlags struct {
	State string `help:"Use the cloud with this state directory." placeholder:"DIR" type:"path"`
}

// operate works on the cloud, running or not.
func (f *OperatorFlags) operate(ctx context.Context, out *cli.Console) (Operator, error) {
	state, err := config.StateDir(f.State)
	if err != nil {
		return nil, err
	}
	return Operate(ctx, state, warnings(out))
}

// operateRunning asks the cloud that runs.
func (f *OperatorFlags) operateRunning(ctx context.Context) (Operator, error) {
	state, err := config.StateDir(f.State)
	if err != nil {
		return nil, err
	}
	return OperateRunning(ctx, state)
}
