package slots

import (
	"errors"
	"fmt"
	"slices"
)

// Contexts tried by Fit, the largest first.
var Contexts = []int{8192, 4096, 2048}

// Want is what the user has asked for; 0 leaves it to Fit.
type Want struct{ Context, Parallel, Threads int }

// Memory of the machine in bytes, and its cores.
type Memory struct {
	Total, Available int64
	Cores            int
}

// Sizes of a model.
type Sizes struct {
	Weights  int64 // bytes of all that is to be loaded
	Position int64 // bytes of KV, and of kept hidden states, for one position of all stages
	Scratch  int64 // bytes of compute buffers and the program itself
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
	least         = 1 << 30 // bytes that are never taken
)

// Fit decides context, conversations at once and threads: the largest of Contexts
// that the model was trained for and that memory holds for four conversations, for
// three or for two; one at once only where the smallest context does not fit twice;
// the cores less one. The last 1 GiB of memory, or 20 % where that is more, is left
// alone. The error says what would fit.
func Fit(want Want, mem Memory, model Sizes) (Plan, error) {
	p := Plan{Threads: want.Threads}
	if p.Threads == 0 {
		p.Threads = max(1, mem.Cores-1)
	}
	room := mem.Available - max(least, mem.Total/5) - model.Weights - model.Scratch
	most := int(max(0, room) / max(1, model.Position))
	contexts := Contexts
	if want.Context > 0 {
		if model.Trained > 0 && want.Context > model.Trained {
			return p, fmt.Errorf("context is %d, the model was trained with %d: set context to %[2]d or less", want.Context, model.Trained)
		}
		contexts = []int{want.Context}
	} else if model.Trained > 0 && model.Trained < slices.Min(Contexts) {
		contexts = []int{model.Trained}
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
					p.Bytes = model.Weights + model.Scratch + int64(p.Positions)*model.Position
					return p, nil
				}
			}
		}
	}
	p.Context, p.Parallel = slices.Min(contexts), max(1, want.Parallel)
	p.Positions = p.Context * p.Parallel
	return p, tooLarge(p, most, mem, model)
}

// ErrMemory is wrapped by Fit's error for a model that memory has no room for.
var ErrMemory = errors.New("not enough memory")

// tooLarge says what would fit instead of a plan.
func tooLarge(p Plan, most int, mem Memory, model Sizes) error {
	need := model.Weights + model.Scratch + int64(p.Positions)*model.Position
	what := fmt.Sprintf("the model takes %s with a context of %d for each of %d at once, and %s of memory are free, of which %s stay untouched",
		size(need), p.Context, p.Parallel, size(mem.Available), size(max(least, mem.Total/5)))
	if each := most / p.Parallel; each >= 256 {
		return fmt.Errorf("%w: %s: set context to %d or less", ErrMemory, what, each/256*256)
	}
	if p.Parallel > 1 && most >= 256 {
		return fmt.Errorf("%w: %s: set parallel to 1 and context to %d or less", ErrMemory, what, most/256*256)
	}
	return fmt.Errorf("%w: %s: choose a model of at most %s, or free some memory", ErrMemory, what,
		size(max(0, mem.Available-max(least, mem.Total/5)-model.Scratch-2048*model.Position)))
}

func size(n int64) string {
	if n < 1<<30 {
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
}
