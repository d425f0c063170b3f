package storage

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"

	"skerry/build/testseed"
)

// killed is a database whose writers are killed, and what must be in it.
type killed struct {
	t     *testing.T
	path  string
	seed  uint64
	rng   *rand.Rand
	want  model  // after n operations
	n     uint64 // operations in the file
	acked uint64 // of them, said to be committed by a writer
	epoch uint64
	taken map[uint64]bool
	mid   int // kills that found uncommitted operations
}

// killsEach is how many kills one database lives through; its creation is
// killed too.
const killsEach = 25

// TestKills kills a writer with SIGKILL at random points, again and again.
// After each kill the file opens, and holds the load up to some operation at or
// after the last that was said to be committed: nothing missing, nothing twice.
func TestKills(t *testing.T) {
	kills := 500
	if testing.Short() {
		kills = 100
	}
	var mid atomic.Int64
	t.Run("databases", func(t *testing.T) {
		for i := range uint64(kills / killsEach) {
			t.Run("", func(t *testing.T) {
				t.Parallel() // they wait for the disk more than they compute
				seed := testseed.Of(t) + i
				k := &killed{
					t: t, path: filepath.Join(t.TempDir(), "board.db"), seed: seed,
					rng: rand.New(rand.NewPCG(seed, 1)), want: model{}, taken: map[uint64]bool{},
				}
				for range killsEach {
					k.run()
					k.verify()
				}
				mid.Add(int64(k.mid))
			})
		}
	})
	if mid.Load() == 0 {
		t.Error("no kill fell between a commit and its acknowledgement")
	}
	t.Logf("%d kills, %d of them with operations not yet committed", kills, mid.Load())
}

// run starts a writer and kills it after it has said a few things and the
// machine has done a little more.
func (k *killed) run() {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childPath+"="+k.path, fmt.Sprintf("%s=%d", childSeed, k.seed),
		fmt.Sprintf("%s=%d", childFirst, k.n))
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.StdoutPipe()
	must0(k.t, err, cmd.Start())
	patience := k.rng.IntN(16)
	if k.rng.IntN(4) == 0 {
		patience = 1 // while it opens
	}
	for heard := 0; ; heard++ {
		if heard == patience {
			spin(k.rng.IntN(1 << 20))
			cmd.Process.Kill()
		}
		what, n, err := hear(out)
		if err != nil {
			break
		}
		k.heard(what, n)
	}
	cmd.Wait()
	if complaint.Len() > 0 {
		k.t.Fatalf("seed %d: the writer gave up: %s", k.seed, complaint.String())
	}
}

// spin takes the time of n additions.
func spin(n int) (sum int) {
	for i := range n {
		sum += i
	}
	return sum
}

func (k *killed) heard(what byte, n uint64) {
	switch what {
	case saidSynced:
		k.acked = n
	case saidEpoch:
		if n <= k.epoch {
			k.t.Fatalf("seed %d: connection number %d after %d", k.seed, n, k.epoch)
		}
		k.epoch = n
	case saidTicket:
		if k.taken[n] {
			k.t.Fatalf("seed %d: a ticket was taken twice", k.seed)
		}
		k.taken[n] = true
	}
}

// verify opens the file and finds the operation it stands at.
func (k *killed) verify() {
	db, err := Open(k.path, Options{})
	must0(k.t, err)
	defer db.Close()
	if aside := db.SetAside(); aside != "" {
		k.t.Fatalf("seed %d: the file was damaged by a kill: %s", k.seed, aside)
	}
	for ; k.n < k.acked; k.n++ {
		k.want.apply(operation(k.seed, k.n))
	}
	err = k.want.equal(db)
	for range 2000 {
		if err == nil {
			break
		}
		k.want.apply(operation(k.seed, k.n))
		k.n++
		err = k.want.equal(db)
	}
	if err != nil {
		k.t.Fatalf("seed %d: the file is at no operation after %d: %v", k.seed, k.acked, err)
	}
	if k.n > k.acked {
		k.mid++
	}
	k.acked = k.n
	if k.rng.IntN(5) == 0 { // opening has looked at every record already
		must0(k.t, db.Check())
	}
}
