package decode

import (
	"sync"
	"time"
)

// waitEvery is how often Options.Waiting is called during a wait.
const waitEvery = time.Second

// reportWaiting tells Options.Waiting that the answer waits for the cloud, until the
// function that it returns is called.
func (l *loop) reportWaiting() (over func()) {
	if l.opt.Waiting == nil {
		return func() {}
	}
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(waitEvery)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				l.opt.Waiting()
			}
		}
	})
	return func() {
		close(done)
		wg.Wait()
	}
}
