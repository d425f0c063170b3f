package tools

import "bytes"

// Models put calls into code fences as they do other JSON. A fence that holds nothing but
// calls is no text: it opens on a line of its own, and its end follows the calls.

// longestFence is of the line that opens one, and of the one that ends it.
const longestFence = 32

// fence is the line that opens a code fence, behind its first character.
func fence(p *Parser, c byte) state {
	p.held = append(p.held, c)
	if len(p.held) > longestFence {
		return p.fail()
	}
	ticks := len(p.held) - len(bytes.TrimLeft(p.held, string(p.held[:1])))
	switch {
	case ticks == len(p.held):
		return fence
	case ticks < 3:
		return p.fail()
	case c == '\n':
		p.mark = len(p.held)
		return fenced
	case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '-', c == '+', c == '.', space(c):
		return fence
	}
	return p.fail()
}

// fenced is within a fence, where a call is to begin.
func fenced(p *Parser, c byte) state {
	switch {
	case space(c):
		p.held = append(p.held, c)
		p.mark = len(p.held)
		return fenced
	case c == '{':
		p.held = append(p.held, c)
		return p.object()
	case c == '<' || c == '[':
		p.held = append(p.held, c)
		return opening
	}
	p.held = append(p.held, c)
	return p.fail()
}

// shut is the line that ends a fence, behind its first character.
func shut(p *Parser, c byte) state {
	p.held = append(p.held, c)
	ticks, ended := p.shutting()
	switch {
	case c == '\n' && ended:
		p.held, p.blank, p.fence, p.start = nil, []byte{c}, nil, true
		return plain
	case ticks && c != '\n' && len(p.held) <= longestFence:
		return shut
	}
	return p.fail()
}

// shutting reports whether what is held may become the end of a fence, and whether it is
// one.
func (p *Parser) shutting() (may, is bool) {
	line := bytes.TrimSpace(p.held)
	if len(p.fence) == 0 || len(line) == 0 {
		return false, false
	}
	may = len(bytes.Trim(line, string(bytes.TrimSpace(p.fence)[:1]))) == 0
	return may, may && len(line) >= 3
}
