package console

import (
	"cmp"
	"io"
	"time"
)

// key is one that was pressed: a printable ASCII character, or one of those below.
type key byte

const (
	keyInterrupt key = 0x03 // Ctrl-C
	keyEnd       key = 0x04 // Ctrl-D
	keyErase     key = 0x08
	keyEnter     key = 0x0d
	keyKill      key = 0x15 // Ctrl-U
	keyOther     key = 0xff // any other, and what is no character at all
)

// decoder makes keys of the bytes of a terminal, whatever they are. An escape is a
// key at once; what follows it in its sequence is none.
type decoder struct{ last byte }

// The decoder's states beside the last byte.
const (
	escaped  = 0x1b
	sequence = 0xfe // within ESC [ … or ESC O …
)

// push takes the next byte and says whether it makes a key.
func (d *decoder) push(b byte) (key, bool) {
	last := d.last
	d.last = b
	switch {
	case last == sequence:
		if b >= 0x20 && b < 0x40 { // parameters
			d.last = sequence
		}
		if b >= 0x20 && b < 0x7f {
			return 0, false
		}
	case last == escaped && (b == '[' || b == 'O'):
		d.last = sequence
		return 0, false
	case last == '\r' && b == '\n', b == 0:
		return 0, false // one Enter, not two; a break or a line at rest
	}
	switch {
	case b == '\n':
		return keyEnter, true
	case b == 0x7f:
		return keyErase, true
	case b >= 0x20 && b < 0x7f:
		return key(b), true
	}
	switch k := key(b); k {
	case keyInterrupt, keyEnd, keyErase, keyEnter, keyKill:
		return k, true
	}
	return keyOther, true
}

// read sends the keys of the line until it ends or ctx does.
func (c *Console) read() {
	defer close(c.keys)
	var d decoder
	buf := make([]byte, 256)
	for {
		n, err := c.Line.Read(buf)
		for _, b := range buf[:n] {
			k, ok := d.push(b)
			if !ok {
				continue
			}
			select {
			case c.keys <- k:
			case <-c.ctx.Done():
				return
			}
		}
		if err != nil {
			c.why = err
			return
		}
	}
}

// gone says why the line is no more.
func (c *Console) gone() error { return cmp.Or(c.ctx.Err(), c.why, io.EOF) }

// key waits for one, and prints notices until it comes. What was typed ahead comes
// before all else.
func (c *Console) key(redraw func()) (key, error) {
	for {
		select {
		case k, ok := <-c.keys:
			if !ok {
				return 0, c.gone()
			}
			return k, c.err
		default:
		}
		select {
		case k, ok := <-c.keys:
			if !ok {
				return 0, c.gone()
			}
			return k, c.err
		case n := <-c.notices:
			c.raws("\n")
			c.lines(n)
			redraw()
		case <-c.ctx.Done():
			return 0, c.ctx.Err()
		}
	}
}

// quiet waits until nothing has come for a second.
func (c *Console) quiet() error {
	for {
		select {
		case _, ok := <-c.keys:
			if !ok {
				return c.gone()
			}
		case <-time.After(time.Second):
			return c.err
		case <-c.ctx.Done():
			return c.ctx.Err()
		}
	}
}
