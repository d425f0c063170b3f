package node

import (
	"maps"
	"sync"
	"time"

	"skerry/appliance/infer"
	"skerry/cloudlink"
	"skerry/cloudlink/wire"
	"skerry/storage"
)

// NewLink starts dialling. The database keeps the minutes of the link, nil for
// nobody.
func NewLink(conf cloudlink.LinkConfig, db *storage.DB) *cloudlink.Link {
	if db != nil {
		conf.Minutes = &linkMinutes{db: db}
	}
	return cloudlink.NewLink(conf)
}

// boardReport is what a board tells its cloud of itself.
type boardReport struct {
	bundle       wire.Hash // zero: none is loaded
	mode, health string
	update       *wire.Offered // how it stands to the cloud's offer, nil: there is none
}

// tokenCount counts who said the tokens since this process began, for the reports to
// the cloud.
type tokenCount struct {
	version string // of the program
	began   time.Time

	mu   sync.Mutex        // guards said
	said map[string]uint64 // by source
}

func newTokenCount(version string) *tokenCount {
	return &tokenCount{version: version, began: time.Now(), said: map[string]uint64{}}
}

func (c *tokenCount) Count(s infer.Source) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.said[string(s)]++
}

// reportTo has the cloud at the other end of the link told of this board every five
// minutes.
func (c *tokenCount) reportTo(l *cloudlink.Link, report func() boardReport) {
	l.SetStatus(func() wire.Status {
		r := report()
		c.mu.Lock()
		defer c.mu.Unlock()
		return wire.Status{
			Version: c.version, Mode: r.mode, Health: r.health, Uptime: uint64(time.Since(c.began).Seconds()),
			Bundle: r.bundle, Tokens: maps.Clone(c.said), Update: r.update,
		}
	})
}
