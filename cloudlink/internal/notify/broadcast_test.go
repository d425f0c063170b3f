package notify

import "testing"

// Everybody who took a channel before a change is woken by it, and by no earlier one.
func TestBroadcast(t *testing.T) {
	var c Broadcast
	c.Announce() // nobody waits
	a, b := c.Next(), c.Next()
	select {
	case <-a:
		t.Fatal("woken by a change before")
	default:
	}
	c.Announce()
	<-a
	<-b
	select {
	case <-c.Next():
		t.Fatal("woken twice")
	default:
	}
}
