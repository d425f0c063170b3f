package cloudlink

import "net"

// Towards fakes this machine's address on the way to the cloud.
func (c *LinkConfig) Towards(f func() net.IP) { c.towards = f }

// Nudge is the probe for clouds of protocol 1.
func (c *Client) Nudge() { c.nudge() }

// CheckPiece and NextPiece are what a fetch makes of a piece.
var (
	CheckPiece = checkPiece
	NextPiece  = nextPiece
)
