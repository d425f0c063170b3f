package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"

	"skerry/cloudlink/trust"
)

type linkCmd struct {
	Status linkStatusCmd `cmd:"" help:"How the daemon's link is, and was in the last hour."`
	Test   linkTestCmd   `cmd:"" help:"Check every part of the link to the cloud, and say what to do where one fails."`
	Retry  linkRetryCmd  `cmd:"" help:"Have the daemon dial the cloud now."`
}

type linkTestCmd struct {
	Cloud  string `help:"The cloud to test. Default: the one this board is enrolled with." placeholder:"HOST:PORT"`
	Bundle string `help:"The bundle to test with. Default: the default model's, if it is here." placeholder:"DIR" type:"path"`
	State  string `help:"Where the enrolment is kept." placeholder:"DIR" type:"path"`
	JSON   bool   `name:"json" help:"As JSON."`
}

// Results of a check.
const (
	pass = "PASS"
	fail = "FAIL"
	skip = "SKIP"
)

// check is one part of the link, and how it is.
type check struct {
	Name   string `json:"check"`
	Result string `json:"result"`
	Detail string `json:"detail"`
	ToDo   string `json:"to_do,omitempty"` // on a FAIL
}

// linkReport is what skerry link test --json prints.
type linkReport struct {
	Cloud  string  `json:"cloud"`
	OK     bool    `json:"ok"`
	Checks []check `json:"checks"`
}

func (c *linkTestCmd) Run(ctx context.Context, out *console) error {
	state, err := stateDir(c.State)
	if err != nil {
		return err
	}
	if c.Cloud != "" {
		if _, _, err := net.SplitHostPort(c.Cloud); err != nil {
			return usageError("--cloud %q: give HOST:PORT", c.Cloud)
		}
	}
	t := &linkTest{ctx: ctx, state: state, cloud: c.Cloud, bundle: c.Bundle}
	if !c.JSON {
		t.say = func(k check) {
			fmt.Fprintf(out.stdout, "%s %-8s %s\n", k.Result, k.Name, k.Detail)
			if k.ToDo != "" {
				fmt.Fprintf(out.stdout, "     %-8s -> %s\n", "", k.ToDo)
			}
		}
	}
	if c.Cloud == "" && !trust.Enrolled(state) {
		return usageError("this board is not enrolled and no cloud is named: give --cloud HOST:PORT, or run `skerry enroll CODE`")
	}
	t.run()
	if err := ctx.Err(); err != nil {
		return err
	}
	r := linkReport{Cloud: t.cloud, OK: t.failed == 0, Checks: t.checks}
	if c.JSON {
		if err := json.NewEncoder(out.stdout).Encode(r); err != nil {
			return err
		}
	}
	if !r.OK {
		return &exitCode{code: exitError}
	}
	return nil
}

// note records a check and shows it.
func (t *linkTest) note(k check) {
	t.checks = append(t.checks, k)
	if k.Result == fail {
		t.failed++
	}
	if t.say != nil {
		t.say(k)
	}
}

func (t *linkTest) pass(name, format string, args ...any) {
	t.note(check{name, pass, fmt.Sprintf(format, args...), ""})
}

func (t *linkTest) fail(name, detail, todo string) { t.note(check{name, fail, detail, todo}) }

// skip says why a check was left out.
func (t *linkTest) skip(why string, names ...string) {
	for _, n := range names {
		t.note(check{n, skip, why, ""})
	}
}
