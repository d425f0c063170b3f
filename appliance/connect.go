package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"time"

	"skerry/appliance/decode"
	"skerry/cloudlink"
	"skerry/cloudlink/linksim"
	"skerry/cloudlink/trust"
	"skerry/cloudlink/wire"
	"skerry/storage"
)

// dialTimeout bounds the wait for a cloud that does not answer.
const dialTimeout = 5 * time.Second

// connect starts the link and waits for it a while. Where the cloud cannot be had
// and the user has not asked to stop, the board is alone and says so; the link
// goes on trying.
func (b *boardSide) connect(ctx context.Context, out *console, c *runCmd, spec linksim.Spec, m decode.Model) error {
	addr := c.Cloud
	if b.local != nil {
		var err error
		if addr, err = b.local.address(ctx); err != nil {
			return err
		}
	}
	if err := b.startLink(ctx, c, addr, spec, m); err != nil {
		return err
	}
	dialing, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	if decode.OnLoss(c.OnLoss) == decode.Await {
		dialing = ctx // however long it takes
	}
	err := b.cloud.await(dialing)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, context.DeadlineExceeded):
		err = fmt.Errorf("no answer within %s (is `skerry cloud` running there, and may UDP pass?)", dialTimeout)
	}
	err = namedOnce(addr, err)
	if decode.OnLoss(c.OnLoss) != decode.GoAlone || !decode.Mode(c.Mode).Exits() {
		return err
	}
	out.note("skerry: %s: answering alone", oneLine(err))
	b.degraded, b.saidLost = true, true
	return nil
}

// namedOnce has an error say its cloud once, though both transports may.
func namedOnce(addr string, err error) error {
	name := "cloud " + addr + ": "
	why := strings.ReplaceAll(err.Error(), name, "")
	return errors.New(name + strings.ReplaceAll(why, "\n", "; "))
}

// encodings of hidden states by their names in --encoding.
var encodings = map[string]wire.DType{"f32": wire.F32, "f16": wire.F16, "q8": wire.Q8_0}

func (b *boardSide) startLink(ctx context.Context, c *runCmd, addr string, spec linksim.Spec, m decode.Model) error {
	if c.Link != "" {
		target, err := net.ResolveUDPAddr("udp", addr)
		if err != nil {
			return fmt.Errorf("cloud %s: %w (check the address)", addr, err)
		}
		if b.link, err = linksim.Start(context.WithoutCancel(ctx), spec, target, c.Seed); err != nil {
			return err
		}
		b.onClose(func() { b.link.Close() })
		addr = b.link.Addr().String()
	}
	conf, err := b.linkConfig(ctx, c, addr)
	if err != nil {
		return err
	}
	opt := sessionOptions(decode.Mode(c.Mode), b.bundle, m)
	if t := encodings[c.Encoding]; t != wire.F32 {
		opt.Exact, opt.Encodings = false, []wire.DType{t}
	}
	if b.journal != nil {
		if err := b.journal.resumeLink(&opt); err != nil {
			return err
		}
	}
	l, err := openLink(ctx, conf, opt, decode.Mode(c.Mode), b.db)
	if errors.Is(err, cloudlink.ErrBudget) && decode.Mode(c.Mode) == decode.Collaborative {
		return fmt.Errorf("half of the month's %d MB are spent, and exact hidden states (f32) are refused from there on: give --encoding f16 or q8, or raise --monthly-mb", c.MonthlyMB)
	}
	if err != nil {
		return err
	}
	b.cloud = l
	b.onClose(l.close)
	return nil
}

// linkConfig says who this board is and what it remembers of the cloud.
func (b *boardSide) linkConfig(ctx context.Context, c *runCmd, addr string) (cloudlink.LinkConfig, error) {
	conf := baseLink(addr, b.db)
	if b.local != nil && c.MonthlyMB == 0 { // the bytes of loopback cost nobody anything
		conf.Budget.Store = nil
	}
	conf.Budget.Metered, conf.Budget.Bytes = c.MonthlyMB > 0, c.MonthlyMB*1e6
	state, err := stateDir(c.State)
	if err != nil {
		return conf, err
	}
	if b.local != nil {
		err := developmentTrust(&conf, cmp.Or(b.localState, state))
		return conf, err
	}
	id, err := boardTrust(ctx, state, addr)
	if errors.Is(err, trust.ErrNotEnrolled) {
		err := developmentTrust(&conf, state)
		return conf, err
	}
	if err != nil {
		return conf, err
	}
	enrolledTrust(&conf, id, b.db)
	return conf, nil
}

// baseLink is a link to addr with what the database remembers, which may be nil.
func baseLink(addr string, db *storage.DB) cloudlink.LinkConfig {
	conf := cloudlink.LinkConfig{Config: cloudlink.Config{
		Addr: addr, Device: "board", Version: version, Log: slog.New(slog.DiscardHandler),
		// Beside another process of this board numbers come from the clock.
		Epoch: uint64(time.Now().UnixMicro()),
	}}
	if db != nil {
		conf.Epochs, conf.Tickets, conf.Budget.Store = db, db, db
	}
	return conf
}

// developmentTrust has the link use certificates that serve loopback alone.
func developmentTrust(conf *cloudlink.LinkConfig, state string) (err error) {
	_, conf.TLS, err = cloudlink.DevTLS(filepath.Join(state, "dev"))
	return err
}

// enrolledTrust has the link use what the enrolment gave.
func enrolledTrust(conf *cloudlink.LinkConfig, id *trust.Holder, db *storage.DB) {
	known, clock := id.Identity(), boardClock(db)
	conf.TLS, conf.Device, conf.May = id.TLS(), known.Device, known.May
	conf.Time = func() time.Time { return id.Identity().Time(clock()) }
}

// boardClock is the system's, and where that was never set, as on a board without
// a battery for it, at least the last time the board has written down.
func boardClock(db *storage.DB) func() time.Time {
	passed := []time.Time{cloudlink.SavedClock("/")}
	if db != nil {
		if last, err := db.LastTime(); err == nil {
			passed = append(passed, last)
		}
	}
	clock := cloudlink.ClockFloor(append(passed, cloudlink.BuildTime())...)
	if db != nil {
		db.SaveTime(clock()) // a failure comes back from the next commit
	}
	return clock
}

// linkStats are of the time since the last call, so of one answer; the first
// also counts the handshake. They are nil where no link was wanted.
func (b *boardSide) linkStats() *linkStats {
	if b.cloud == nil {
		return nil
	}
	l := &linkStats{Emulated: b.spec}
	state, figures := b.cloud.State()
	l.State, l.Figures = state.String(), figures
	st := b.cloud.Status()
	l.Transport, l.Reconnects = string(st.Transport), st.Reconnects
	l.BytesUp, l.BytesDown = int64(st.Stats.BytesSent-b.counted.BytesSent), int64(st.Stats.BytesReceived-b.counted.BytesReceived)
	l.RTTms = float64(st.Stats.SmoothedRTT.Microseconds()) / 1000
	b.counted = st.Stats
	return l
}
