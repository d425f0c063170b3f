package main

import (
	"encoding/binary"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"skerry/appliance/config"
	"skerry/cloudlink/linksim"
)

// chaosFault is one way of breaking things, mended when make returns or by
// itself soon after.
type chaosFault struct {
	name  string
	loses bool // the last commit of the database
	late  bool // it comes when the last token has been said
	make  func(*chaos)
}

var chaosFaultList = []chaosFault{
	{name: "board killed", make: func(c *chaos) { c.killBoard(func() {}) }},
	{name: "board killed about its end", late: true, make: func(c *chaos) {
		if c.whole = c.board.readTo(chaosTokens, c.check); !c.whole {
			time.Sleep(time.Duration(c.rng.IntN(6000)) * time.Microsecond)
			c.killBoard(func() {})
		}
	}},
	{name: "board killed between the journal's end and the reader's", late: true, make: func(c *chaos) {
		c.board.pause.Store(chaosTokens - 2) // the last token stays in the pipe, the end behind it
		if c.whole = c.board.readTo(chaosTokens-1, c.check); !c.whole {
			time.Sleep(300 * time.Millisecond) // it writes the end down
			c.killBoard(func() {})
		}
	}},
	{name: "power cut", loses: true, make: func(c *chaos) { c.killBoard(c.tearDatabase) }},
	{name: "cloud killed", make: func(c *chaos) {
		c.cloud.signal(c.t, unix.SIGKILL)
		c.cloud.wait(c.t)
		time.Sleep(c.cut() / 4)
		c.startCloud()
	}},
	{name: "cloud stopped", make: func(c *chaos) { // with its farewell
		c.cloud.signal(c.t, unix.SIGTERM)
		c.cloud.wait(c.t)
		c.startCloud()
	}},
	{name: "link cut", make: func(c *chaos) {
		c.link.Down(true)
		time.Sleep(c.cut())
		c.link.Down(false)
	}},
	{name: "blackhole", make: func(c *chaos) { // of one direction
		up := c.rng.IntN(2) == 0
		c.link.Blackhole(up, !up)
		time.Sleep(c.cut())
		c.link.Blackhole(false, false)
	}},
	{name: "address changed", make: func(c *chaos) {
		if err := c.link.Rebind(); err != nil {
			c.t.Error(err)
		}
	}},
	{name: "contexts evicted", make: func(c *chaos) {
		expect(c.t, 0, "cloud", "evict", "--state", c.cloudState)
	}},
	{name: "datagrams doubled and out of order", make: func(c *chaos) {
		c.link.SetFaults(linksim.Faults{Duplicate: 0.2, Reorder: 0.2, Late: 30 * time.Millisecond})
		time.Sleep(300 * time.Millisecond)
		c.link.SetFaults(linksim.Faults{})
	}},
	{name: "datagrams lost", make: func(c *chaos) {
		bad := chaosLink
		bad.Loss = 0.2
		c.link.SetSpec(bad)
		time.Sleep(300 * time.Millisecond)
		c.link.SetSpec(chaosLink)
	}},
}

// killBoard kills the board and starts the next, unless what the dead one has said was
// the whole answer.
func (c *chaos) killBoard(between func()) {
	c.t.Helper()
	c.board.kill(c.t)
	c.whole = c.board.rest(c.check)
	c.board.wait(c.t)
	if c.whole {
		return
	}
	between()
	c.startBoard()
}

// tearDatabase imitates a power cut within the last commit: its meta page, the
// last thing written, is only partly on the disk. bbolt goes back to the commit
// before.
func (c *chaos) tearDatabase() {
	c.t.Helper()
	f, err := os.OpenFile(config.DatabasePath(c.boardState), os.O_RDWR, 0)
	if err != nil {
		c.t.Fatal(err)
	}
	defer f.Close()
	const page, txID, sum = 4096, 64, 72 // of a meta page
	var ids [2]uint64
	var b [8]byte
	for i := range ids {
		if _, err := f.ReadAt(b[:], int64(i*page+txID)); err != nil {
			c.t.Fatal(err)
		}
		ids[i] = binary.LittleEndian.Uint64(b[:])
	}
	newest := 0
	if ids[1] > ids[0] {
		newest = 1
	}
	if _, err := f.WriteAt([]byte{0xff}, int64(newest*page+sum)); err != nil {
		c.t.Fatal(err)
	}
}

// cut is how long the link stays away: mostly short, sometimes as long as may be,
// and with cuts that may be long no less than a second.
func (c *chaos) cut() time.Duration {
	x, least := c.rng.Float64(), time.Duration(0)
	if *chaosCut > 3*time.Second {
		x, least = x*x*x, time.Second
	}
	return least + time.Duration(float64(*chaosCut-least)*x*x*x)
}
