//go:build !linux

package transport

import "net"

// dontFragment does nothing where it is not known how.
func dontFragment(*net.UDPConn) {}
