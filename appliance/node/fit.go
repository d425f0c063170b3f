package node

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"skerry/appliance/bundle"
	"skerry/appliance/bundle/gguf"
	"skerry/appliance/decode"
	"skerry/appliance/decode/batch"
	"skerry/appliance/engine"
	"skerry/appliance/infer"
	"skerry/appliance/status"
	"skerry/board"
)

// programBytes is what the program takes beside weights, KV cache and compute buffers;
// mostScratch is more than all but the first two were ever seen to take.
const (
	programBytes = 64 << 20
	mostScratch  = 192 << 20
	// tokenBytes is what llama.cpp takes for each token of a stage's vocabulary: 265 were held of
	// one with 151,936, 275 of one with 49,152, their merges among them.
	tokenBytes = 300
)

// fit decides context, answers at once and threads from what memory there is, and
// whether the rest of the model is loaded too, for when the cloud is lost. Where that
// has no room beside both of the board's stages the second is left out: a board with a
// cloud answers without it wherever it would have answered before it had one.
func (o *opening) fit() error {
	all := o.boardRoles()
	if slices.Contains(all, bundle.DraftModel) { // which speaks when the cloud is lost
		return o.fitStages(all)
	}
	if err := o.fitStages(all); err != nil || len(all) < 2 || !errors.Is(o.noRest, batch.ErrMemory) {
		return err
	}
	plan, noRest := o.plan, o.noRest
	if err := o.fitStages(all[:1]); err != nil || o.rest == 0 {
		o.roles, o.plan, o.rest, o.noRest = all, plan, 0, noRest
	}
	return nil
}

// fitStages fits the stages of the roles, and the rest of the model where it is wanted.
func (o *opening) fitStages(roles []bundle.Role) error {
	man, conf := o.bundle.Manifest, o.loader.conf
	o.roles, o.rest, o.noRest = roles, 0, nil
	sizes := batch.Sizes{Scratch: programBytes, Trained: man.ContextLength, Weights: projectorBytes(man)}
	draft := slices.Contains(roles, bundle.DraftModel)
	if draft && (o.tokens || !decode.NeedsCloud(o.mode)) { // else who is asked goes on where the draft ends
		sizes.Trained = min(sizes.Trained, man.Draft.ContextLength)
	}
	for _, role := range roles {
		if err := AddStage(&sizes, o.bundle, role); err != nil {
			return err
		}
	}
	if decode.NeedsCloud(o.mode) || len(roles) > 1 {
		// Hidden states, once: those that the cloud may want again, and those that a later
		// stage has not computed yet.
		sizes.Position += o.rowBytes()
	}
	memory, why := o.memory()
	if len(memory.Limits) == 0 {
		o.memoryUnknown = why
	}
	want := batch.Want{Context: cmp.Or(o.context, conf.Context), Parallel: conf.Parallel, Threads: conf.Threads}
	if n := sizes.Trained; n > 0 && o.loader.single {
		want.Context = min(want.Context, n)
	}
	var err error
	if o.plan, err = batch.Fit(want, memory, sizes); err != nil || draft || !decode.SpecOf(o.mode).StandsIn {
		return err
	}
	if o.loader.single && infer.OnLoss(conf.OnLoss) == infer.GoAlone {
		o.rest = o.plan.Context // it finds out whether there is room once it is needed
		return nil
	}
	o.fitRest(want, memory, sizes)
	return nil
}

// fitRest decides whether the rest of the model has room beside the board's stages.
func (o *opening) fitRest(want batch.Want, memory batch.Memory, sizes batch.Sizes) {
	if conf := o.loader.conf; infer.OnLoss(conf.OnLoss) != infer.GoAlone {
		o.noRest = fmt.Errorf("it was loaded with on_loss = %s: restart skerry to have it loaded for alone", conf.OnLoss)
		return
	}
	var rest batch.Sizes
	if err := AddStage(&rest, o.bundle, bundle.Cloud); err != nil {
		o.noRest = fmt.Errorf("the bundle lacks it: %w: skerry model pull cloud:NAME --whole fetches it", err)
		return
	}
	o.plan, o.rest = batch.FitBeside(o.plan, want, memory, sizes, rest)
	for _, context := range batch.Contexts {
		if o.rest > 0 || want.Context > 0 || context >= o.plan.Context {
			continue
		}
		// A shorter context that is answered without the cloud too is worth more.
		shorter := want
		shorter.Context = context
		if plan, err := batch.Fit(shorter, memory, sizes); err == nil {
			if plan, rest := batch.FitBeside(plan, want, memory, sizes, rest); rest > 0 {
				o.plan, o.rest = plan, rest
			}
		}
	}
	if o.rest == 0 {
		o.noRest = fmt.Errorf("%w: it takes %s beside the board's stages", batch.ErrMemory, status.Bytes(uint64(rest.Weights)))
	}
}

// AddStage adds what a stage takes.
func AddStage(sizes *batch.Sizes, b *bundle.Bundle, role bundle.Role) error {
	man := b.Manifest
	st, _ := man.Stage(role)
	if d := man.Draft; role == bundle.DraftModel && d != nil {
		st = bundle.Stage{To: d.Blocks, Bytes: d.Bytes}
		man = &bundle.Manifest{Architecture: d.Architecture, Embedding: d.Embedding, Vocab: d.Vocab}
	}
	shape, err := shapeOf(b.Path(role), man)
	if err != nil {
		return err
	}
	sizes.Weights += st.Bytes + shape.tokens*tokenBytes
	thread, position := engine.AttentionMemory(shape.headLength, shape.headLength, shape.group)
	sizes.Position += int64(st.To-st.From)*shape.kvPerBlock() + position
	if name, _ := engine.DeviceName(); name != "" {
		sizes.Position += engine.FedBytes(man.Embedding, st.From == 0)
	}
	sizes.Thread += thread
	sizes.Scratch = min(sizes.Scratch+shape.compute(man), mostScratch)
	return nil
}

// shape of a model's blocks.
type shape struct {
	headsKV, headLength int64 // keys and values of a position
	group               int64 // heads of queries that share them
	feedForward         int64
	tokens              int64 // of the vocabulary in the file, 0 for none
}

// readShapes keeps the shapes of stages by their files and when those were written: a model is
// planned with every request that names it, and a header has the whole vocabulary.
var readShapes sync.Map

// shapeOf reads a stage's file, once while it stays as it is.
func shapeOf(path string, man *bundle.Manifest) (shape, error) {
	st, err := os.Stat(path)
	if err != nil {
		return shape{}, err
	}
	at := struct {
		path, architecture string
		embedding          int
		bytes              int64
		written            time.Time
	}{path, man.Architecture, man.Embedding, st.Size(), st.ModTime().UTC()}
	if s, ok := readShapes.Load(at); ok {
		return s.(shape), nil
	}
	s, err := readShape(path, man)
	if err == nil {
		readShapes.Store(at, s)
	}
	return s, err
}

func readShape(path string, man *bundle.Manifest) (shape, error) {
	f, err := gguf.Open(path)
	if err != nil {
		return shape{}, err
	}
	defer f.Close()
	number := func(key string) int64 {
		kv, _ := f.KV(man.Architecture + "." + key)
		n, _ := kv.Uint32()
		return int64(n)
	}
	heads := max(number("attention.head_count"), 1)
	vocabulary, _ := f.KV(gguf.KeyTokens)
	headsKV := cmp.Or(number("attention.head_count_kv"), heads)
	return shape{
		headsKV:     headsKV,
		group:       max(heads/headsKV, 1),
		headLength:  cmp.Or(number("attention.key_length"), int64(man.Embedding)/heads),
		feedForward: number("feed_forward_length"),
		tokens:      int64(vocabulary.Len),
	}, nil
}

// kvPerBlock is what one position takes in the KV cache of a block, in bytes: keys
// and values of float16.
func (s shape) kvPerBlock() int64 { return 2 * 2 * s.headsKV * s.headLength }

// compute is what llama.cpp's buffers of a stage take, in bytes: a batch's rows, twice
// as wide as the feed-forward network and some hidden states beside, and the logits
// of the few rows that want them.
func (s shape) compute(man *bundle.Manifest) int64 {
	const rows, outputs = 256, 16
	return 4 * (rows*(2*s.feedForward+8*int64(man.Embedding)) + outputs*int64(man.Vocab))
}

// MachineMemory is what this process may take of the machine's memory and cores. What
// is not known of the machine is left out, and the error says why.
func MachineMemory(root string) (batch.Memory, error) {
	m, err := board.ReadMemory(root)
	memory := batch.Memory{Total: int64(m.Total), Available: int64(m.Available), Cores: board.Cores(root)}
	for _, l := range m.Limits {
		memory.Limits = append(memory.Limits, batch.Limit{Name: l.Name, Bytes: int64(l.Bytes), Free: int64(l.Free)})
	}
	if err != nil {
		err = fmt.Errorf("this machine's memory cannot be read: %w", err)
	}
	return memory, err
}
