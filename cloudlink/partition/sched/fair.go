// Package sched decides whose rows a stage computes next, and how many in one pass: a
// fair queue over devices and their sessions, and a model of what a pass takes that is
// learned from the newest. It knows no connection, no context and no clock.
package sched

import (
	"math"
	"time"
)

const (
	// quantum is how many rows a session gets before the next is looked at.
	quantum = 4
	// maxLead is how many rows a flow may be ahead of the hindmost and still go
	// first for its earlier deadline.
	maxLead = 4 * quantum
)

// Flow is one of those that share a stage by start-time fair queueing (Goyal,
// Vin and Cheng 1996) over rows: every flow has a virtual start, which a row
// moves on by one, and the hindmost is served. One that comes back from idling
// starts at the virtual time of then, so that nobody saves service up. Among
// flows about even the earliest deadline goes first.
//
// There are two levels: devices share the stage, and a device's sessions its
// share.
type Flow struct {
	Want     int       // rows, in the plan being made
	Deadline time.Time // of the earliest ask, zero for none
	start    float64   // virtual
}

// Base returns the flow itself, for types that embed one.
func (f *Flow) Base() *Flow { return f }

// Before reports whether f goes first of two flows about even.
func (f *Flow) Before(o *Flow) bool {
	switch {
	case f.Deadline.Equal(o.Deadline):
		return f.start < o.start
	case f.Deadline.IsZero() || o.Deadline.IsZero():
		return o.Deadline.IsZero()
	}
	return f.Deadline.Before(o.Deadline)
}

// serve counts n rows given to f.
func (f *Flow) serve(n int) {
	f.start += float64(n)
	f.Want -= n
}

// Session is a session's flow.
type Session interface {
	Base() *Flow
	// Grant gives the session n more rows of the plan being made.
	Grant(n int)
}

// Device is a device's flow. Its Want is the sum of its sessions'.
type Device[S Session] struct {
	Flow
	Sessions    []S     // with something to do, in the plan being made
	virtualTime float64 // of its sessions
	plan        uint64  // that Sessions are of
}

// Queue shares a stage among devices, a plan after the other. The zero Queue is ready.
type Queue[S Session] struct {
	virtualTime float64 // of the devices
	plan        uint64
	devices     []*Device[S] // of the plan being made
}

// Begin begins a plan, which nothing is in yet.
func (q *Queue[S]) Begin() {
	q.plan++
	q.devices = q.devices[:0]
}

// Add puts a session of a device that has something to do into the plan.
func (q *Queue[S]) Add(d *Device[S], s S) {
	if d.plan != q.plan {
		d.plan = q.plan
		d.Want, d.Deadline, d.Sessions = 0, time.Time{}, d.Sessions[:0]
		q.devices = append(q.devices, d)
	}
	f := s.Base()
	d.Sessions = append(d.Sessions, s)
	d.Want += f.Want
	if f.Want > 0 && !f.Deadline.IsZero() && f.Before(&d.Flow) {
		d.Deadline = f.Deadline
	}
}

// Devices are those of the plan.
func (q *Queue[S]) Devices() []*Device[S] { return q.devices }

// Distribute grants up to room rows to the sessions of the plan, each what it wants at
// most, and returns the room left. It may be called again once they want more.
func (q *Queue[S]) Distribute(room int) (left int) {
	for room > 0 {
		d, ok := next(&q.virtualTime, q.devices)
		if !ok {
			break
		}
		s, ok := next(&d.virtualTime, d.Sessions)
		if !ok { // the device's want was more than the sum of its sessions'
			d.Want = 0
			continue
		}
		n := min(quantum, s.Base().Want, room)
		d.serve(n)
		s.Base().serve(n)
		s.Grant(n)
		room -= n
	}
	return room
}

// next returns the flow to serve, and false when none wants anything. now is the virtual
// time of the flows.
func next[F interface{ Base() *Flow }](now *float64, flows []F) (best F, ok bool) {
	low := math.Inf(1)
	for _, o := range flows {
		if f := o.Base(); f.Want > 0 {
			f.start = max(f.start, *now)
			low = min(low, f.start)
		}
	}
	if math.IsInf(low, 1) {
		return best, false
	}
	*now = max(*now, low)
	for _, o := range flows {
		f := o.Base()
		if f.Want == 0 || f.start > low+maxLead {
			continue
		}
		if !ok || f.Before(best.Base()) {
			best, ok = o, true
		}
	}
	return best, ok
}
