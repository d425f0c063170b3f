package batch

import (
	"errors"
	"fmt"
	"slices"
)

// Contexts tried by Fit, the largest first.
var Contexts = []int{8192, 4096, 2048}

// Want is what the user has asked for; 0 leaves it to Fit.
type Want struct{ Context, Parallel, Threads int }

// Memory that the model may be given, in bytes, and the cores that compute.
type Memory struct {
	Total, Available int64 // of the machine; 0 where they are not known
	Limits           []Limit
	Cores            int
}

// Limit is a bound on this process besides the machine's memory.
type Limit struct {
	Name        string // of whom
	Bytes, Free int64
}

// Sizes of a model.
type Sizes struct {
	Weights  int64 // bytes of all that is to be loaded
	Position int64 // bytes of KV, and of kept hidden states, for one position of all stages
	Scratch  int64 // bytes of compute buffers and the program itself
	Thread   int64 // bytes of compute buffers of each thread
	Trained  int   // positions the model was trained with, 0 if not known
}

// Plan is what fits.
type Plan struct {
	Context   int // positions a conversation may hold
	Parallel  int // conversations at once
	Positions int // of the KV caches: Context for each of Parallel
	Threads   int
	Bytes     int64 // what it will take
}

// Defaults of Fit.
const (
	mostParallel  = 4
	leastParallel = 2
	reserved      = 1 << 30 // bytes of a machine that are never taken
)

// Room is the memory that may be taken in all: what the tightest bound has free, less
// what stays untouched. Of a machine that is the last 1 GiB, or 20 % where that is
// more, since others live there too; of a limit, which holds for this process alone,
// a twentieth for what grows beside the model.
type Room struct {
	Bytes                  int64 // may be below 0
	Total, Free, Untouched int64
	Of                     string // whose it is
}

// Room returns the tightest there is, and false where nothing is known.
func (m Memory) Room() (least Room, known bool) {
	if m.Total > 0 {
		kept := max(reserved, m.Total/5)
		least, known = Room{m.Available - kept, m.Total, m.Available, kept, "this machine"}, true
	}
	for _, l := range m.Limits {
		r := Room{l.Free - l.Bytes/20, l.Bytes, l.Free, l.Bytes / 20, fmt.Sprintf("%s, limited to %s", l.Name, size(l.Bytes))}
		if !known || r.Bytes < least.Bytes {
			least, known = r, true
		}
	}
	return least, known
}

// Fit decides context, conversations at once and threads: the largest of Contexts
// that the model was trained for and that memory holds for four conversations, for
// three or for two; one at once only where the smallest context does not fit twice;
// the cores less one. The last 1 GiB of the machine's memory, or 20 % where that is
// more, is left alone. Where nothing is known of memory it is what was asked for, and
// else the least there is. The error says what would fit.
func Fit(want Want, mem Memory, model Sizes) (Plan, error) {
	p := Plan{Threads: want.Threads}
	if p.Threads == 0 {
		p.Threads = max(1, mem.Cores-1)
	}
	model = model.on(p.Threads)
	room, known := mem.Room()
	most := int(max(0, room.Bytes-model.Weights-model.Scratch) / max(1, model.Position))
	contexts := Contexts
	if want.Context > 0 {
		if model.Trained > 0 && want.Context > model.Trained {
			return p, fmt.Errorf("context is %d, the model was trained with %d: set context to %[2]d or less", want.Context, model.Trained)
		}
		contexts = []int{want.Context}
	} else if model.Trained > 0 && model.Trained < slices.Min(Contexts) {
		contexts = []int{model.Trained}
	}
	if !known {
		p.Context, p.Parallel = slices.Min(contexts), max(1, want.Parallel)
		p.Positions = p.Context * p.Parallel
		p.Bytes = model.bytes(p.Positions)
		return p, nil
	}
	for _, fewest := range []int{leastParallel, 1} {
		from := mostParallel
		if want.Parallel > 0 {
			from, fewest = want.Parallel, want.Parallel
		}
		for _, p.Context = range contexts {
			if model.Trained > 0 && p.Context > model.Trained {
				continue
			}
			for p.Parallel = from; p.Parallel >= fewest; p.Parallel-- {
				if p.Positions = p.Context * p.Parallel; p.Positions <= most {
					p.Bytes = model.bytes(p.Positions)
					return p, nil
				}
			}
		}
	}
	p.Context, p.Parallel = slices.Min(contexts), max(1, want.Parallel)
	p.Positions = p.Context * p.Parallel
	return p, tooLarge(p, most, room, model)
}

// FitBeside makes room in a plan for a second model that holds the same conversations,
// and returns how many positions of each of them it may hold: all of them, at the cost
// of conversations at once where the user leaves those open, else fewer; 0 where it has
// no room. The context stays as it is.
func FitBeside(p Plan, want Want, mem Memory, model, beside Sizes) (Plan, int) {
	model, beside = model.on(p.Threads), beside.on(p.Threads)
	room, known := mem.Room()
	if !known { // the plan is the smallest there is
		p.Bytes += beside.bytes(p.Positions)
		return p, p.Context
	}
	free := room.Bytes - model.Weights - model.Scratch - beside.Weights - beside.Scratch
	fewest := []int{p.Parallel}
	if want.Parallel == 0 {
		fewest = []int{min(p.Parallel, leastParallel), 1}
	}
	for _, fewest := range fewest {
		for _, least := range []int{p.Context, min(p.Context, slices.Min(Contexts))} {
			for n := p.Parallel; n >= fewest; n-- {
				each := (free - int64(n*p.Context)*model.Position) / (int64(n) * max(1, beside.Position))
				holds := min(p.Context, int(max(0, each))/256*256)
				if each >= int64(p.Context) {
					holds = p.Context
				}
				if holds >= least {
					p.Parallel, p.Positions = n, n*p.Context
					p.Bytes = model.bytes(p.Positions) + beside.bytes(n*holds)
					return p, holds
				}
			}
		}
	}
	return p, 0
}

// bytes that a model takes with so many positions.
func (m Sizes) bytes(positions int) int64 { return m.Weights + m.Scratch + int64(positions)*m.Position }

// on is the model where so many threads compute it.
func (m Sizes) on(threads int) Sizes {
	m.Scratch += int64(threads) * m.Thread
	m.Thread = 0
	return m
}

// ErrMemory is wrapped by Fit's error for a model that memory has no room for.
var ErrMemory = errors.New("not enough memory")

// tooLarge says what would fit instead of a plan.
func tooLarge(p Plan, most int, r Room, model Sizes) error {
	what := fmt.Sprintf("the model takes %s with a context of %d for each of %d at once, and %s of memory are free of %s, of which %s stay untouched",
		size(model.bytes(p.Positions)), p.Context, p.Parallel, size(r.Free), r.Of, size(r.Untouched))
	if each := most / p.Parallel; each >= 256 {
		return fmt.Errorf("%w: %s: set context to %d or less", ErrMemory, what, each/256*256)
	}
	if p.Parallel > 1 && most >= 256 {
		return fmt.Errorf("%w: %s: set parallel to 1 and context to %d or less", ErrMemory, what, most/256*256)
	}
	advice := "free some memory, or raise the limit that is named"
	if fits := r.Bytes - model.Scratch - int64(p.Context)*model.Position; fits > 0 {
		advice = fmt.Sprintf("choose a model of at most %s, or free some memory", size(fits))
	}
	return fmt.Errorf("%w: %s: %s", ErrMemory, what, advice)
}

// size in the units of 1000, as everywhere a user reads one.
func size(n int64) string {
	if n < 1e9 {
		return fmt.Sprintf("%d MB", n/1e6)
	}
	return fmt.Sprintf("%.1f GB", float64(n)/1e9)
}
