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

// linkReport is what skerry link test --json prints.
type linkReport struct {
	Cloud  string          `json:"cloud"`
	OK     bool            `json:"ok"`
	Checks doctor.Findings `json:"checks"`
}

// linkWords are what this verb has always called the results, in JSON too.
var linkWords = map[doctor.Result]doctor.Result{doctor.Pass: "PASS", doctor.Fail: "FAIL", doctor.Skip: "SKIP"}

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
		if c.JSON {
			return
		}
		fmt.Fprintf(out.Stdout, "%s %-8s %s\n", linkWords[f.Result], f.Check, f.Detail)
		if f.ToDo != "" {
			fmt.Fprintf(out.Stdout, "     %-8s -> %s\n", "", f.ToDo)
		}
	})
	if err := ctx.Err(); err != nil {
		return err
	}
	ok := found.Count(doctor.Fail) == 0
	if c.JSON {
		for i := range found {
			found[i].Result = linkWords[found[i].Result]
		}
		if err := out.JSON(linkReport{Cloud: t.Cloud(), OK: ok, Checks: found}); err != nil {
			return err
		}
	}
	if !ok {
		return &cli.CodeError{Code: cli.ExitError}
	}
	return nil
}
