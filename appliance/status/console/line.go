package console

import (
	"context"
	"io"
	"time"
)

// How long to wait for a line that was hung up, or is not there.
const (
	hungUpPause  = time.Second
	missingPause = 5 * time.Second
)

// ServeLine serves a line until ctx ends, and opens it again whenever it was hung up or is
// not there. What is wrong with it is told once, until that is something else or the line
// was there in between.
func ServeLine(ctx context.Context, o Options, open func() (io.ReadWriteCloser, error), tell func(error)) {
	var told string
	for ctx.Err() == nil {
		pause := hungUpPause
		line, err := open()
		if err == nil {
			told = ""
			o.Line = line
			err = New(o).Run(ctx)
		} else {
			pause = missingPause
		}
		if err != nil && err.Error() != told {
			told = err.Error()
			tell(err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}
