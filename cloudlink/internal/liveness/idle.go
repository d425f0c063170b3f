package liveness

import (
	"time"

	"skerry/cloudlink/transport"
)

// leastIdle is the least silence that ends a connection which nobody uses.
const leastIdle = transport.LinkIdle / 3

// Idle is the silence that ends a board's connection while nobody uses it, by random in [0, 1).
// Every board draws its own: the boards of a worker that died, and more so those of a region,
// would all notice within one keep-alive else, and come to the other workers at once.
func Idle(random float64) time.Duration {
	return leastIdle + time.Duration(random*float64(transport.LinkIdle-leastIdle))
}
