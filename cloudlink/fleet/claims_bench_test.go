package fleet_test

import (
	"fmt"
	"strconv"
	"sync"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"skerry/cloudlink/fleet"
	"skerry/cloudlink/fleet/fleettest"
	"skerry/cloudlink/wire"
)

// BenchmarkClaims is what an etcd of one member that waits for its disk takes to claim boards
// that nobody has: one after the other, and many at a time by ten workers.
func BenchmarkClaims(b *testing.B) {
	etcd := &fleettest.Etcd{Durable: true}
	etcd.Start(b)
	defer etcd.Stop()
	var workers []*fleet.Fleet
	for i := range 10 {
		f, err := fleet.Join(fleet.Options{
			Endpoints: []string{etcd.Endpoint}, Secret: make([]byte, 32), Self: fleet.Worker{Address: fmt.Sprintf("worker-%d:7537", i)},
		})
		if err != nil {
			b.Fatal(err)
		}
		defer f.Close()
		if err := f.Ready(b.Context()); err != nil {
			b.Fatal(err)
		}
		workers = append(workers, f)
	}
	board := 0
	for _, atOnce := range []int{1, 10, 100, 500} {
		b.Run("at-once="+strconv.Itoa(atOnce), func(b *testing.B) {
			devices := make(chan string)
			var wg sync.WaitGroup
			for i := range atOnce {
				wg.Go(func() {
					for d := range devices {
						if _, err := workers[i%len(workers)].Claim(b.Context(), d, "", wire.TakesOver); err != nil {
							b.Error(err)
						}
					}
				})
			}
			for b.Loop() {
				board++
				devices <- "board-" + strconv.Itoa(board)
			}
			close(devices)
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "claims/s")
		})
	}
}

// BenchmarkTold is what an etcd takes to tell each of so many workers of one change of a record.
func BenchmarkTold(b *testing.B) {
	etcd := &fleettest.Etcd{Durable: true}
	etcd.Start(b)
	defer etcd.Stop()
	const watchers = 100
	var clients []*clientv3.Client
	heard := make(chan struct{}, 1<<16)
	var wg sync.WaitGroup
	defer wg.Wait()
	for range watchers {
		c, err := clientv3.New(clientv3.Config{Endpoints: []string{etcd.Endpoint}})
		if err != nil {
			b.Fatal(err)
		}
		defer c.Close()
		clients = append(clients, c)
		events := c.Watch(b.Context(), "/workers/", clientv3.WithPrefix(), clientv3.WithCreatedNotify())
		<-events
		wg.Go(func() {
			for r := range events {
				for range r.Events {
					heard <- struct{}{}
				}
			}
		})
	}
	record := string(make([]byte, 300))
	told, written := 0, 0
	for b.Loop() {
		if told%watchers == 0 && told == written {
			if _, err := clients[0].Put(b.Context(), "/workers/a", record); err != nil {
				b.Fatal(err)
			}
			written += watchers
		}
		<-heard
		told++
	}
	for ; told < written; told++ {
		<-heard
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "told/s")
}
