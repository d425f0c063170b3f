// Package transport carries streams between a board and its cloud, between peers
// whose certificates have been verified. It is the only importer of quic-go and of
// yamux: QUIC where UDP passes, and TLS on TCP, through a proxy where there is one,
// where it does not. Whoever uses it sees a Conn and its Streams and cannot tell
// which of the two it has.
//
// Dial and ListenOptions.Listen make connections. A dial with a session ticket sends
// what is written at once in its first flight (0-RTT), keeps it until the cloud has
// taken it, and writes it again where the cloud did not (earlyConn). A connection by
// QUIC can move with this machine from one network to the next (Migrate).
package transport
