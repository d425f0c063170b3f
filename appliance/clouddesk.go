package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"skerry/cloudlink/trust"
	"skerry/storage"
)

// cloudDesk is everything an operator does with the devices of a cloud. The
// running cloud has one; without it, a verb makes its own.
type cloudDesk struct {
	*trust.Desk
	listen string // where boards reach this cloud, empty while it does not run
	evict  func(device string) int
	load   func() cloudLoad
	close  func()
}

// openDesk opens the authority and the database in state. An error wraps
// trust.ErrNoAuthority before `skerry cloud init`.
func openDesk(state string, log *slog.Logger) (*cloudDesk, cloudBook, error) {
	a, err := trust.OpenAuthority(state, time.Now)
	if err != nil {
		return nil, cloudBook{}, err
	}
	book, err := openCloudBook(state, time.Second)
	if err != nil {
		return nil, book, err
	}
	if aside := book.SetAside(); aside != "" {
		log.Warn("the record of boards was damaged and is set aside: each board must be invited and enrolled anew", "file", aside)
	}
	return &cloudDesk{
		Desk:  &trust.Desk{Authority: a, Book: book, Now: time.Now, Log: log},
		close: func() { book.Close() },
	}, book, nil
}

// order is what an operator wants of a desk; it travels to the running cloud.
type order struct {
	Do     string        `json:"do"` // invite, revoke, devices, renew, evict, load
	Name   string        `json:"name,omitempty"`
	May    trust.May     `json:"may,omitempty"`
	Life   time.Duration `json:"life,omitempty"`
	Count  int           `json:"count,omitempty"`
	Clouds []string      `json:"clouds,omitempty"` // addresses for the code, or names for the certificate
}

// outcome is what became of it.
type outcome struct {
	Error   string             `json:"error,omitempty"`
	Invites []trust.Invitation `json:"invites,omitempty"`
	Devices []trust.Device     `json:"devices,omitempty"`
	Evicted int                `json:"evicted,omitempty"`
	Load    *cloudLoad         `json:"load,omitempty"`
}

func (d *cloudDesk) do(o order) (out outcome) {
	var err error
	switch o.Do {
	case "invite":
		out.Invites, err = d.invite(o)
	case "revoke":
		err = d.Revoke(o.Name)
	case "devices":
		out.Devices, err = d.Book.Devices()
	case "evict":
		if d.evict == nil {
			return outcome{Error: errNoCloud.Error()}
		}
		out.Evicted = d.evict(o.Name)
	case "load":
		if d.load == nil {
			return outcome{Error: errNoCloud.Error()}
		}
		load := d.load()
		out.Load = &load
	case "renew":
		err = d.Authority.Renew(o.Clouds)
	default:
		err = fmt.Errorf("the running cloud does not know %q: update and restart it", o.Do)
	}
	if err != nil {
		out.Error = oneLine(err)
	}
	return out
}

func (d *cloudDesk) invite(o order) (all []trust.Invitation, err error) {
	addrs := o.Clouds
	if len(addrs) == 0 {
		addrs = d.addresses()
	}
	for i := range max(o.Count, 1) {
		name := o.Name
		if name != "" && o.Count > 1 {
			name = fmt.Sprintf("%s-%d", name, i+1)
		}
		inv, err := d.Invite(name, o.May, o.Life, addrs)
		if err != nil {
			return nil, err
		}
		all = append(all, inv)
	}
	return all, nil
}

// addresses are where boards reach this cloud: the names its certificate was
// made for, else the address it listens on, else those of this machine.
func (d *cloudDesk) addresses() (addrs []string) {
	host, port, _ := net.SplitHostPort(d.listen)
	port = cmp.Or(port, strconv.Itoa(cloudPort))
	names := d.Authority.Names()
	if ip := net.ParseIP(host); len(names) == 0 && ip != nil && !ip.IsUnspecified() {
		names = []string{host}
	}
	if len(names) == 0 {
		names = machineAddresses()
	}
	for _, n := range names[:min(len(names), trust.MaxAddrs)] {
		addrs = append(addrs, net.JoinHostPort(n, port))
	}
	return addrs
}

// machineAddresses are those that other machines may reach, IPv4 first.
func machineAddresses() (all []string) {
	found, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	for _, a := range found {
		if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() {
			all = append(all, n.IP.String())
		}
	}
	slices.SortStableFunc(all, func(a, b string) int { return len(a) - len(b) })
	return all
}

// atDesk has the running cloud carry out an order, or does it itself where none
// runs on this state directory.
func atDesk(stderr io.Writer, state string, o order) (outcome, error) {
	out, err := askCloud(state, o)
	if errors.Is(err, errNoCloud) {
		desk, _, derr := openDesk(state, slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))
		switch {
		case errors.Is(derr, storage.ErrLocked): // it has started meanwhile
			out, err = askCloud(state, o)
		case derr != nil:
			return out, derr
		default:
			defer desk.close()
			out, err = desk.do(o), nil
		}
	}
	if err != nil {
		return out, fmt.Errorf("cloud in %s: %w", filepath.Clean(state), err)
	}
	if out.Error != "" {
		return out, errors.New(out.Error)
	}
	return out, nil
}
