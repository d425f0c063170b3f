package server

import (
	"context"

	"skerry/appliance/chat/template"
	"skerry/appliance/decode"
	"skerry/appliance/decode/batch"
	"skerry/appliance/infer"
	"skerry/appliance/status"
)

// Loader brings models into memory, and knows which there are.
type Loader interface {
	// Resolve returns the model that is meant by a name, loaded or not; an *infer.Error that
	// is NoModel names those that there are. "" is the default, of which nothing may be here
	// yet: it is then the zero Model.
	Resolve(name string) (infer.Model, error)
	// Load fetches a model that Resolve has returned, if need be, checks it and opens it, and
	// reports what it is at. It returns soon after ctx ends. The error of one that has room in
	// memory only once others are closed wraps ErrCrowded. It is not called concurrently.
	Load(ctx context.Context, of infer.Model, report func(status.State, status.Progress)) (*Model, error)
	// Models on this board, loaded or not.
	Models() []infer.Model
	// Pull fetches and prepares a model by name.
	Pull(ctx context.Context, name string, progress func(infer.Progress)) error
}

// Model is one in memory.
type Model struct {
	Info   infer.Model
	Status status.Model
	Modes  []infer.Mode // that it can be decoded in, the default first
	Vocab  Vocab
	// Longest is the bytes of the vocabulary's longest token; 0: not known.
	Longest int
	// Template is the model's own, nil where it has none that can be used; TemplateErr
	// says why one that it has cannot be.
	Template       *template.Template
	TemplateErr    error
	templateFailed templateFailure
	Slots          Slots
	// Images makes tokens of images; nil: the model reads text alone, and NoImages says why, as
	// half a sentence.
	Images   Images
	NoImages string
	// Unable says why a conversation of so many positions would not be answered sensibly
	// at present, an *infer.Error; nil where it would be. It may be nil itself.
	Unable func(positions int) error
	// SetThreads has it computed with so many threads; nil where that cannot change.
	SetThreads func(n int)
	Close      func() // frees all of it but the slots, which are closed before
}

// Vocab is the model's tokenizer; the engine has one.
type Vocab interface {
	Tokenize(text string, special, markup bool) ([]int32, error)
	Piece(id int32, markup bool) []byte
	End(id int32) bool
	Infill() (prefix, suffix, middle int32, ok bool)
}

// Images makes tokens of the images in a prompt.
type Images interface {
	// Use returns the tokens that stand for an image, until release is called. Its errors are
	// *infer.Error or internal.
	Use(ctx context.Context, data []byte) (tokens []int32, release func(), err error)
}

// Slots decode several answers at once.
type Slots interface {
	// Acquire waits for a slot. A full queue is an *infer.Error that is Busy.
	Acquire(ctx context.Context, a batch.Ask) (Slot, error)
	// Full is the error that an Acquire would get now, nil where it would have a slot or
	// a place in the queue.
	Full() error
	Stats() batch.Stats
	// Save puts the prefixes worth it on the disk.
	Save(ctx context.Context) error
	// Forget deletes what memory and disk hold of a session that is not being answered,
	// Tidy what the disk holds of those that there are no more.
	Forget(session string)
	Tidy()
	Close() error
}

// Slot decodes one answer at a time.
type Slot interface {
	Generate(ctx context.Context, prompt []int32, o decode.Options, emit func(infer.Token)) (decode.Result, error)
	// Bytes that have gone up to the cloud and come down, so far.
	Bytes() (up, down uint64)
	Release()
}
