package serve

import (
	"context"

	"skerry/appliance/answer"
	"skerry/appliance/chat"
	"skerry/appliance/decode"
	"skerry/appliance/engine"
	"skerry/appliance/status"
)

// Loader brings the model into memory, and knows which there are.
type Loader interface {
	// Load fetches the model if need be, checks it and opens it, and reports what
	// it is at. It returns soon after ctx ends.
	Load(ctx context.Context, report func(status.State, status.Progress)) (*Model, error)
	// Models on this board, loaded or not.
	Models() []answer.Model
	// Pull fetches and prepares a model by name.
	Pull(ctx context.Context, name string, progress func(answer.Progress)) error
}

// Model is one in memory.
type Model struct {
	Info   answer.Model
	Status status.Model
	Modes  []decode.Mode // that it can be decoded in, the default first
	Vocab  Vocab
	// Template is the model's own, nil where it has none that can be rendered; Chat
	// then does it, as llama.cpp knows templates by their look.
	Template *chat.Template
	Chat     func([]engine.Message) (string, error)
	Slots    Slots
	// SetThreads has it computed with so many threads; nil where that cannot change.
	SetThreads func(n int)
	Close      func() // frees all of it but the slots, which are closed before
}

// Vocab is the model's tokenizer; *engine.Vocab is one.
type Vocab interface {
	Tokenize(text string, special, markup bool) ([]int32, error)
	Piece(id int32, markup bool) []byte
	End(id int32) bool
}

// Slots decode several answers at once.
type Slots interface {
	// Acquire waits for a slot. A full queue is an *answer.Error that is Busy.
	Acquire(ctx context.Context, a SlotAsk) (Slot, error)
	Stats() SlotStats
	// Save puts the prefixes worth it on the disk.
	Save(ctx context.Context) error
	Close()
}

// SlotAsk is who wants a slot, and for what.
type SlotAsk struct {
	Client, Session string
	Prompt          []int32
	Progress        func(ahead int) // called while it waits
}

// Slot decodes one answer at a time.
type Slot interface {
	Generate(ctx context.Context, prompt []int32, o decode.Options, emit func(decode.Token)) (decode.Answer, error)
	// Bytes that have gone up to the cloud and come down, so far.
	Bytes() (up, down uint64)
	Release()
}

// SlotStats is how full the slots are.
type SlotStats struct {
	Waiting, Limit int
	Refused        uint64
	CacheBytes     int64 // prefixes on the disk
}
