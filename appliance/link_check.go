package main

import (
	"context"
	"fmt"
	"net"

	"skerry/appliance/cli"
	"skerry/appliance/config"
	"skerry/appliance/doctor"
	"skerry/cloudlink/trust"
)

type linkTestCmd struct {
	Cloud  string `help:"Test this cloud instead of the one that the board is enrolled with." placeholder:"HOST:PORT"`
	Bundle string `help:"Test with this bundle instead of the default model's." placeholder:"DIR" type:"path"`
	State  string `help:"Read the enrolment from this directory." placeholder:"DIR" type:"path"`
	JSON   bool   `name:"json" help:"Print the result as JSON."`
}

func (c *linkTestCmd) Run(ctx context.Context, out *cli.Console) error {
	state, err := config.StateDir(c.State)
	if err != nil {
		return err
	}
	if c.Cloud != "" {
		if _, _, err := net.SplitHostPort(c.Cloud); err != nil {
			return cli.Usagef("--cloud %q: give HOST:PORT", c.Cloud)
		}
	}
	if c.Cloud == "" && !trust.Enrolled(state) {
		return cli.Usagef("this board is not enrolled and no cloud is named: give --cloud HOST:PORT, or run `skerry enroll CODE`")
	}
	t := doctor.NewLinkTest(doctor.LinkOptions{Version: version, State: state, Cloud: c.Cloud, Bundle: c.Bundle})
	found := t.Run(ctx, func(f doctor.Finding) {
		if !c.JSON {
			fmt.Fprint(out.Stdout, f.LinkText())
		}
	})
	if err := ctx.Err(); err != nil {
		return err
	}
	if c.JSON {
		if err := out.JSON(t.Report(found)); err != nil {
			return err
		}
	}
	if found.Any(doctor.Fail) {
		return &cli.CodeError{Code: cli.ExitError}
	}
	return nil
}
