package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"skerry/appliance/cli"
	"skerry/appliance/config"
	"skerry/appliance/doctor"
	"skerry/cloudlink"
	"skerry/cloudlink/trust"
)

type enrollCmd struct {
	Code  []string `arg:"" optional:"" help:"Enroll with this code, which the cloud's operator made with skerry cloud invite. Spaces do not matter."`
	Cloud string   `help:"Reach the cloud at this address instead of where the code says." placeholder:"HOST:PORT"`
	May   string   `help:"Let the cloud see text, hidden (hidden states, no tokens) or nothing. Without it a terminal is asked." placeholder:"WHAT"`
	Renew bool     `help:"Renew the certificate of a board that is enrolled; with --may lower what the cloud may see."`
	State string   `help:"Keep the key and the certificates in this directory." placeholder:"DIR" type:"path"`
}

// Help is shown above the flags.
func (c *enrollCmd) Help() string {
	return `Examples:
  skerry enroll 1AB2C-3DE4F-...             with the code of skerry cloud invite
  skerry enroll CODE --may hidden           no text goes up, hidden states do
  skerry enroll --renew                     the certificate; it renews by itself
                                            while the board reaches its cloud
`
}

func (c *enrollCmd) Run(ctx context.Context, out *cli.Console) error {
	opt, err := c.options()
	if err != nil {
		return err
	}
	var r trust.Enrolment
	if c.Renew {
		r, err = trust.Renew(ctx, opt)
	} else {
		r, err = c.enroll(ctx, out, opt)
	}
	if err != nil {
		return err
	}
	if advice := doctor.ClockAdvice(r.Behind); advice != "" { // enrolment works all the same
		out.Note("%s", advice)
	}
	out.Note("enrolled as %s with the cloud at %s, which may see: %s; the certificate is good until %s and renews itself",
		r.Device, strings.Join(r.Clouds, ", "), r.Disclosure, r.Certificate.NotAfter.Format(time.DateOnly))
	return nil
}

func (c *enrollCmd) options() (trust.Options, error) {
	state, err := config.StateDir(c.State)
	if err != nil {
		return trust.Options{}, err
	}
	may, err := trust.ParseDisclosure(c.May)
	if err != nil {
		return trust.Options{}, cli.Usagef("--may: %w", err)
	}
	if c.Renew == (len(c.Code) > 0) {
		return trust.Options{}, cli.Usagef("give a code of `skerry cloud invite`, or --renew")
	}
	host, _ := os.Hostname()
	opt := trust.Options{State: state, Dial: cloudlink.DialEnrolment, Disclosure: may, Name: host, Software: version}
	if c.Cloud != "" {
		if _, _, err := net.SplitHostPort(c.Cloud); err != nil {
			return opt, cli.Usagef("--cloud %q: give HOST:PORT", c.Cloud)
		}
		opt.Clouds = []string{c.Cloud}
	}
	return opt, nil
}

func (c *enrollCmd) enroll(ctx context.Context, out *cli.Console, opt trust.Options) (trust.Enrolment, error) {
	code, err := trust.ParseCode(strings.Join(c.Code, " "))
	if err != nil {
		return trust.Enrolment{}, err
	}
	if opt.Disclosure == trust.Unset && code.Disclosure == trust.Unset && term.IsTerminal(int(out.Stdin.Fd())) {
		if opt.Disclosure, err = askMay(out); err != nil {
			return trust.Enrolment{}, err
		}
	}
	return trust.Enroll(ctx, code, opt)
}

// askMay asks on the terminal, until it has an answer, what the cloud may see.
func askMay(out *cli.Console) (trust.Disclosure, error) {
	out.Note("What may the cloud see of what is said here?\n  text     tokens: the least traffic\n  hidden   hidden states only; who means harm can turn them back into text\n  nothing  this board answers alone")
	in := bufio.NewReader(out.Stdin)
	for {
		fmt.Fprint(out.Stderr, "text, hidden or nothing? ")
		line, err := in.ReadString('\n')
		if err != nil {
			return trust.Unset, errors.New("nobody has said what the cloud may see: give --may text, hidden or nothing")
		}
		if may, err := trust.ParseDisclosure(strings.ToLower(strings.TrimSpace(line))); err == nil && may != trust.Unset {
			return may, nil
		}
	}
}
