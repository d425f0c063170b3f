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

	"skerry/cloudlink"
	"skerry/cloudlink/trust"
)

type enrollCmd struct {
	Code  []string `arg:"" optional:"" help:"The code that the cloud's operator made with skerry cloud invite; spaces do not matter."`
	Cloud string   `help:"Where the cloud is, if not where the code says." placeholder:"HOST:PORT"`
	May   string   `help:"What the cloud may see: text, hidden (hidden states, no tokens) or nothing. It is asked on a terminal." placeholder:"WHAT"`
	Renew bool     `help:"Renew the certificate of a board that is enrolled; with --may lower what the cloud may see."`
	State string   `help:"Where the key and the certificates are kept." placeholder:"DIR" type:"path"`
}

// clockOff is from when on a clock is worth a word.
const clockOff = time.Minute

func (c *enrollCmd) Run(ctx context.Context, out *console) error {
	opt, err := c.options()
	if err != nil {
		return err
	}
	var r trust.Result
	if c.Renew {
		r, err = trust.Renew(ctx, opt)
	} else {
		r, err = c.enroll(ctx, out, opt)
	}
	if err != nil {
		return err
	}
	sayClock(out, r.Behind)
	out.note("enrolled as %s with the cloud at %s, which may see: %s; the certificate is good until %s and renews itself",
		r.Device, strings.Join(r.Clouds, ", "), r.May, r.Certificate.NotAfter.Format(time.DateOnly))
	return nil
}

func (c *enrollCmd) options() (trust.Options, error) {
	state, err := stateDir(c.State)
	if err != nil {
		return trust.Options{}, err
	}
	may, err := trust.ParseMay(c.May)
	if err != nil {
		return trust.Options{}, usageError("--may: %w", err)
	}
	if c.Renew == (len(c.Code) > 0) {
		return trust.Options{}, usageError("give a code of `skerry cloud invite`, or --renew")
	}
	host, _ := os.Hostname()
	opt := trust.Options{State: state, Dial: cloudlink.DialEnrolment, May: may, Name: host, Software: version}
	if c.Cloud != "" {
		if _, _, err := net.SplitHostPort(c.Cloud); err != nil {
			return opt, usageError("--cloud %q: give HOST:PORT", c.Cloud)
		}
		opt.Clouds = []string{c.Cloud}
	}
	return opt, nil
}

func (c *enrollCmd) enroll(ctx context.Context, out *console, opt trust.Options) (trust.Result, error) {
	code, err := trust.ParseCode(strings.Join(c.Code, " "))
	if err != nil {
		return trust.Result{}, err
	}
	if opt.May == trust.Unset && code.May == trust.Unset && term.IsTerminal(int(out.stdin.Fd())) {
		if opt.May, err = askMay(out); err != nil {
			return trust.Result{}, err
		}
	}
	r, err := trust.Enroll(ctx, code, opt)
	if errors.Is(err, trust.ErrUnreachable) && time.Now().After(code.Expires) {
		err = fmt.Errorf("%w; by this board's clock the code has expired, too", err)
	}
	return r, err
}

// askMay asks on the terminal, until it has an answer, what the cloud may see.
func askMay(out *console) (trust.May, error) {
	out.note("What may the cloud see of what is said here?\n  text     tokens: the least traffic\n  hidden   hidden states only; who means harm can turn them back into text\n  nothing  this board answers alone")
	in := bufio.NewReader(out.stdin)
	for {
		fmt.Fprint(out.stderr, "text, hidden or nothing? ")
		line, err := in.ReadString('\n')
		if err != nil {
			return trust.Unset, errors.New("nobody has said what the cloud may see: give --may text, hidden or nothing")
		}
		if may, err := trust.ParseMay(strings.ToLower(strings.TrimSpace(line))); err == nil && may != trust.Unset {
			return may, nil
		}
	}
}

// sayClock tells of a clock that is off; enrolment works all the same.
func sayClock(out *console, behind time.Duration) {
	if d := behind.Round(time.Second); d > clockOff {
		out.note("this board's clock is %s behind the cloud's; the cloud's is taken as the least it can be (set the clock: timedatectl set-ntp true)", d)
	} else if d < -clockOff {
		out.note("this board's clock is %s ahead of the cloud's; certificates may seem expired here (set the clock: timedatectl set-ntp true)", -d)
	}
}

// boardTrust is who this board is to the cloud at addr (empty: the one it is
// enrolled with). A certificate that is due is renewed first, if the cloud can be
// had. The error wraps trust.ErrNotEnrolled where there is no enrolment; then
// only development certificates are left, which serve loopback alone.
func boardTrust(ctx context.Context, state, addr string) (*trust.Holder, error) {
	opt := trust.Options{State: state, Dial: cloudlink.DialEnrolment, Software: version}
	if addr != "" {
		opt.Clouds = []string{addr}
	}
	h, err := trust.Hold(opt)
	if err != nil {
		return nil, err
	}
	if _, err := h.Refresh(ctx); err != nil && h.Identity().Expired(time.Now()) {
		return nil, fmt.Errorf("the certificate of this board has expired, or its clock is wrong, and renewal failed: %w", err)
	}
	return h, nil
}
