package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	etcd "go.etcd.io/etcd/client/v3"
	"golang.org/x/time/rate"
)

// A device's quota of positions a minute is one bucket for all workers. Whoever computes for the
// device draws from it, so many positions at once that etcd is asked a few times a minute and only
// for devices that use what they have; what is left a worker gives back when the device has gone.
// A worker that dies takes at most what it had drawn with it.

const (
	quotaPrefix = root + "quota/"
	// perMinuteBurst is which part of a minute's positions may come at once.
	perMinuteBurst = 4
	// leastDrawn is which part of a minute's positions has to be there for some to be drawn: a
	// device that is held back is looked at about once a second.
	leastDrawn = 64
	// drawsASecond bounds what this worker asks etcd for quotas.
	drawsASecond = 200
	// bucketFor is how long a bucket is kept that nobody draws from: it has long been full.
	bucketFor = 10 * time.Minute
	// farAhead is how far ahead of this worker's clock a bucket's time is taken for what has
	// passed: a clock that is ahead by more was wrong, and nothing would come into the bucket
	// until its time.
	farAhead = 10 * time.Second
)

// bucket is what etcd has of a device's quota.
type bucket struct {
	Level float64 `json:"level"` // positions; below 0 for those that were computed beyond
	At    int64   `json:"at"`    // when, in ms of the clock that is furthest ahead
}

var errBucket = errors.New("no record of a quota")

func decodeBucket(b []byte) (k bucket, err error) {
	if len(b) > maxRecord {
		return k, errBucket
	}
	if err := json.Unmarshal(b, &k); err != nil {
		return bucket{}, errors.Join(errBucket, err)
	}
	if math.Abs(k.Level) > 1<<50 || k.At < 0 {
		return bucket{}, errBucket
	}
	return k, nil
}

// filled is the bucket at a time, with what has come into it since. Clocks of workers differ:
// time that has passed by one is not counted again by another.
func (k bucket) filled(perMinute int, now time.Time) bucket {
	if k.At > now.Add(farAhead).UnixMilli() {
		k.At = now.UnixMilli()
	}
	at := max(k.At, now.UnixMilli())
	rate := float64(perMinute) / float64(time.Minute.Milliseconds())
	return bucket{min(k.Level+rate*float64(at-k.At), burst(perMinute)), at}
}

func burst(perMinute int) float64 { return max(float64(perMinute)/perMinuteBurst, 1) }

// Draw takes up to so many positions from the quota of a device, of so many a minute for all
// workers together, and says when to ask again where there are none yet. An error wraps
// ErrUnavailable.
func (f *Fleet) Draw(ctx context.Context, device string, perMinute int, positions float64) (got float64, again time.Duration, err error) {
	if !f.draws.Allow() {
		return 0, time.Second, nil
	}
	least := min(positions, max(float64(perMinute)/leastDrawn, 1))
	done, err := f.changeBucket(ctx, device, perMinute, func(level float64) float64 {
		if got, again = min(positions, level), 0; got < least {
			missing := (least - level) / float64(perMinute) * float64(time.Minute)
			got, again = 0, max(time.Duration(missing), 10*time.Millisecond)
		}
		return level - got
	})
	if err == nil && !done {
		return 0, 100 * time.Millisecond, nil
	}
	return got, again, err
}

// Return gives back what was drawn of a device's quota and not computed; fewer than none were
// computed beyond what was drawn. An error wraps ErrUnavailable.
func (f *Fleet) Return(ctx context.Context, device string, perMinute int, positions float64) error {
	done, err := f.changeBucket(ctx, device, perMinute, func(level float64) float64 { return level + positions })
	if err == nil && !done {
		err = unavailable(ErrChanged)
	}
	return err
}

// changeBucket has f say what a device's bucket holds, and is false where others change it all the
// time.
func (f *Fleet) changeBucket(ctx context.Context, device string, perMinute int, change func(level float64) float64) (bool, error) {
	ctx, cancel := f.call(ctx)
	defer cancel()
	lease, err := f.bucketLease(ctx)
	if err != nil {
		return false, unavailable(err)
	}
	key := quotaPrefix + device
	read, err := f.etcd.Get(ctx, key)
	if err != nil {
		return false, unavailable(err)
	}
	found := read.Kvs
	for range rounds {
		now, was := time.Now(), int64(0)
		k := bucket{burst(perMinute), now.UnixMilli()}
		if len(found) > 0 {
			was = found[0].ModRevision
			if kept, err := decodeBucket(found[0].Value); err != nil {
				f.log.Warn("the quota of a device cannot be read and begins anew", "device", device, "err", err)
			} else {
				k = kept.filled(perMinute, now)
			}
		}
		level := change(k.Level)
		if level == k.Level {
			return true, nil
		}
		k.Level = min(level, burst(perMinute))
		text, err := json.Marshal(k)
		if err != nil {
			return false, fmt.Errorf("quota of %s: %w", device, err)
		}
		done, err := f.etcd.Txn(ctx).If(etcd.Compare(etcd.ModRevision(key), "=", was)).
			Then(etcd.OpPut(key, string(text), etcd.WithLease(lease))).Else(etcd.OpGet(key)).Commit()
		if err != nil {
			if errors.Is(err, rpctypes.ErrLeaseNotFound) { // as in an etcd that was set up anew
				f.forgetBucketLease(lease)
			}
			return false, unavailable(err)
		}
		if done.Succeeded {
			return true, nil
		}
		found = done.Responses[0].GetResponseRange().Kvs
	}
	return false, nil
}

// bucketLease is that of buckets, another one after half of its time.
func (f *Fleet) bucketLease(ctx context.Context) (etcd.LeaseID, error) {
	f.granting.Lock() // of many draws one alone takes it
	defer f.granting.Unlock()
	f.mu.Lock()
	lease, fresh := f.buckets, time.Since(f.bucketsAt) < bucketFor/2
	f.mu.Unlock()
	if lease != 0 && fresh {
		return lease, nil
	}
	granted, err := f.etcd.Grant(ctx, int64(bucketFor/time.Second))
	if err != nil {
		return 0, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.buckets, f.bucketsAt = granted.ID, time.Now()
	return granted.ID, nil
}

// forgetBucketLease has the next draw take another lease.
func (f *Fleet) forgetBucketLease(lease etcd.LeaseID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.buckets == lease {
		f.buckets = 0
	}
}

func newDraws() *rate.Limiter { return rate.NewLimiter(drawsASecond, drawsASecond) }
