package node

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"skerry/appliance/bundle/offer"
	"skerry/appliance/config"
	"skerry/appliance/status"
	"skerry/cloudlink"
	"skerry/cloudlink/clock"
	"skerry/cloudlink/trust"
	"skerry/storage"
	"time"
)

// LinkConfig is of a link to addr, host:port, with what the database remembers, which may be nil.
func LinkConfig(addr, version string, db *storage.DB) cloudlink.LinkConfig {
	conf := cloudlink.LinkConfig{Config: cloudlink.Config{
		Addr: addr, Device: "board", Version: version, Log: slog.New(slog.DiscardHandler),
		// Beside another process of this board numbers come from the clock.
		Epoch: uint64(time.Now().UnixMicro()),
	}}
	if db != nil {
		conf.Epochs, conf.Tickets, conf.Budget.Store, conf.Found = db, db, db, db
	}
	return conf
}

// DevelopmentTrust has the link use certificates that serve loopback alone.
func DevelopmentTrust(conf *cloudlink.LinkConfig, state string) (err error) {
	_, conf.TLS, err = cloudlink.DevTLS(filepath.Join(state, "dev"))
	return err
}

// EnrolledTrust has the link use what the enrolment gave.
func EnrolledTrust(conf *cloudlink.LinkConfig, id *trust.Credentials, db *storage.DB) {
	known, now := id.Identity(), boardClock(db)
	conf.TLS, conf.Device, conf.Disclosure = id.TLS(), known.Device, known.Disclosure
	conf.Time = func() time.Time { return id.Identity().Time(now()) }
}

// boardClock is the system's, and where that was never set, as on a board without
// a battery for it, at least the last time the board has written down.
func boardClock(db *storage.DB) func() time.Time {
	passed := []time.Time{clock.Saved("/")}
	if db != nil {
		if last, err := db.LastTime(); err == nil {
			passed = append(passed, last)
		}
	}
	now := clock.Floor(append(passed, clock.OfBuild())...)
	if db != nil {
		db.SaveTime(now()) // a failure comes back from the next commit
	}
	return now
}

// Identity is who this board is to the cloud at addr (empty: the one it is
// enrolled with). A certificate that is due is renewed first, if the cloud can be
// had. The error wraps trust.ErrNotEnrolled where there is no enrolment; then
// only development certificates are left, which serve loopback alone.
func Identity(ctx context.Context, state, addr, version string) (*trust.Credentials, error) {
	opt := trust.Options{State: state, Dial: cloudlink.DialEnrolment, Software: version}
	if addr != "" {
		opt.Clouds = []string{addr}
	}
	return trust.OpenCredentials(ctx, opt)
}

// pullWait is how long a pull waits for the link to be up.
const pullWait = 20 * time.Second

// Pull waits for the link and fetches a bundle of the cloud over it, as
// offer.Pull does.
func Pull(ctx context.Context, l *cloudlink.Link, name string, whole bool, step func(what string, done, total int64)) (string, error) {
	waiting, cancel := context.WithTimeout(ctx, pullWait)
	err := l.Await(waiting)
	cancel()
	switch {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case err != nil:
		return "", fmt.Errorf("the cloud cannot be asked: %s", status.OneLine(err))
	}
	return offer.Pull(ctx, l, name, whole, step)
}

// PullAlone fetches a bundle of the cloud that the board of a state directory is enrolled
// with, over a link of its own, as Pull does; monthlyMB bounds the month's bytes, 0 sets no
// bound.
func PullAlone(ctx context.Context, state, version, name string, whole bool, monthlyMB uint64, step func(what string, done, total int64)) (string, error) {
	id, err := Identity(ctx, state, "", version)
	if err != nil {
		return "", err
	}
	clouds := id.Identity().Clouds
	if len(clouds) == 0 {
		return "", ErrNoAddress
	}
	db, err := storage.Open(config.DatabasePath(state), storage.Options{})
	if err != nil {
		return "", err
	}
	defer db.Close()
	conf := LinkConfig(clouds[0], version, db)
	conf.Addrs = clouds
	conf.Budget.Metered, conf.Budget.Bytes = monthlyMB > 0, monthlyMB*1e6
	EnrolledTrust(&conf, id, db)
	conf.Disclosure = trust.Unset // nothing is sent that there would be to see
	l := NewLink(conf, db)
	defer l.Close()
	return Pull(ctx, l, name, whole, step)
}
