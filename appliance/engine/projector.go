package engine

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// ProjectorOptions of OpenProjector.
type ProjectorOptions struct {
	// Name tells the projector's file from all others, as its sha256 does: the same image
	// has other tokens by another projector.
	Name string
	// Threads computes with so many; default is the cores less one, at least 1.
	Threads int
	// Bytes is up to how many bytes of rows are kept that nobody uses; default 64 MiB.
	Bytes int64
	// Used is from how many bytes of rows in use on no further image is encoded; default 256 MiB.
	Used int64
}

// firstImageToken is where the numbers of image rows begin, far above every vocabulary, and
// mostImageRows how many an image has at most.
const (
	firstImageToken = 1 << 30
	mostImageRows   = 1 << 14
)

// IsImageToken says whether a token stands for a row of an image, of whichever.
func IsImageToken(id int32) bool { return id >= firstImageToken }

// Projector turns images into what stands for them in a text: tokens, of which those that
// IsImageToken is true of are input embeddings by number. The numbers come from what the image
// is: the same image has the same ones in every process, so that a journal of tokens and a KV
// cache know it again. Its methods may be called from several goroutines.
type Projector struct {
	name           string
	width          int
	most, mostUsed int64

	computing sync.Mutex // held while an image is encoded, and guards encoder
	encoder   *encoder

	mu     sync.Mutex   // guards all following
	images []*imageRows // by their first number, ascending
	unused int64        // bytes of those that nobody uses
	inUse  int64        // of the others
	turn   uint64       // grows with every use
}

// imageRows is one image as the model reads it.
type imageRows struct {
	sum    [sha256.Size]byte // of what it was made of
	first  int32             // number of its first row
	tokens []int32
	rows   []float32 // [n][width]
	users  int
	used   uint64 // the last turn
}

func (r *imageRows) bytes() int64 { return 4 * int64(len(r.rows)+len(r.tokens)) }

// end is behind the number of its last row.
func (p *Projector) end(r *imageRows) int32 { return r.first + int32(len(r.rows)/p.width) }

// ErrImagesInUse is returned by Use while the images of requests, of which the rows are held until
// their answers are whole, leave no memory for one more.
var ErrImagesInUse = errors.New("the images of requests under way leave no memory for one more")

var errTwoImages = errors.New("two different images have the same numbers, which one pair in millions has: change it by a pixel")

// OpenProjector opens the projector at path for the model of a stage that takes tokens. Errors
// name the file and say why it cannot be used.
func OpenProjector(path string, s *Stage, o ProjectorOptions) (*Projector, error) {
	threads := cmp.Or(o.Threads, Options{}.withDefaults().Threads)
	e, err := openEncoder(path, s.m, threads)
	if err != nil {
		return nil, err
	}
	return &Projector{name: o.Name, width: s.width, most: cmp.Or(o.Bytes, 64<<20), mostUsed: cmp.Or(o.Used, 256<<20), encoder: e}, nil
}

// Close frees the projector. Stages must not compute images any more.
func (p *Projector) Close() {
	p.computing.Lock()
	defer p.computing.Unlock()
	if p.encoder != nil {
		p.encoder.close()
		p.encoder = nil
	}
}

// Pixels are an image: three bytes a pixel, line by line from the top.
type Pixels struct {
	Width, Height int
	RGB           []byte
}

// Use returns the tokens that stand for the image that data holds, for as long as release was
// not called. Where it is not known yet, its pixels are asked for and encoded, which takes
// seconds on a board; ctx ends the wait for others' images, not the encoding itself.
func (p *Projector) Use(ctx context.Context, data []byte, pixels func() (Pixels, error)) (tokens []int32, release func(), err error) {
	h := sha256.New()
	h.Write([]byte(p.name))
	h.Write([]byte{0})
	h.Write(data)
	sum := [sha256.Size]byte(h.Sum(nil))
	if r := p.find(sum); r != nil {
		return r.tokens, p.releaser(r), nil
	}
	p.computing.Lock()
	defer p.computing.Unlock()
	if r := p.find(sum); r != nil { // another was first
		return r.tokens, p.releaser(r), nil
	}
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	if p.encoder == nil {
		return nil, nil, errClosed
	}
	if p.crowded() {
		return nil, nil, ErrImagesInUse
	}
	px, err := pixels()
	if err != nil {
		return nil, nil, err
	}
	if px.Width < 1 || px.Height < 1 || len(px.RGB) != 3*px.Width*px.Height {
		return nil, nil, fmt.Errorf("an image of %d x %d pixels has %d bytes", px.Width, px.Height, len(px.RGB))
	}
	tokens, rows, err := p.encoder.encode(px)
	if err != nil {
		return nil, nil, err
	}
	r, err := p.number(sum, tokens, rows)
	if err != nil {
		return nil, nil, err
	}
	return r.tokens, p.releaser(r), nil
}

// number gives the rows their numbers, in place of the -1 that stand for them.
func (p *Projector) number(sum [sha256.Size]byte, tokens []int32, rows []float32) (*imageRows, error) {
	n := len(rows) / p.width
	if n > mostImageRows {
		return nil, fmt.Errorf("the image becomes %d rows, and at most %d are taken", n, mostImageRows)
	}
	// 30 bits, and below the end of the numbers by as many as there may be rows.
	first := firstImageToken + int32(binary.BigEndian.Uint32(sum[:])%(1<<30-mostImageRows))
	r := &imageRows{sum: sum, first: first, tokens: tokens, rows: rows, users: 1}
	next := first
	for i, id := range tokens {
		if id < 0 {
			tokens[i] = next
			next++
		}
	}
	if int(next-first) != n {
		return nil, fmt.Errorf("the image has %d rows in %d places", n, next-first)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	at, _ := slices.BinarySearchFunc(p.images, first, func(r *imageRows, id int32) int { return cmp.Compare(r.first, id) })
	if at > 0 && p.end(p.images[at-1]) > first || at < len(p.images) && p.images[at].first < p.end(r) {
		return nil, errTwoImages
	}
	p.turn++
	r.used = p.turn
	p.images = slices.Insert(p.images, at, r)
	p.inUse += r.bytes()
	return r, nil
}

// crowded says whether the images in use leave no room for another.
func (p *Projector) crowded() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.inUse >= p.mostUsed
}

// find returns an image that is known, with a user more, or nil.
func (p *Projector) find(sum [sha256.Size]byte) *imageRows {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.images {
		if r.sum == sum {
			if r.users == 0 {
				p.unused -= r.bytes()
				p.inUse += r.bytes()
			}
			r.users++
			p.turn++
			r.used = p.turn
			return r
		}
	}
	return nil
}

// releaser ends one use of an image.
func (p *Projector) releaser(r *imageRows) func() {
	return sync.OnceFunc(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if r.users--; r.users > 0 {
			return
		}
		p.unused += r.bytes()
		p.inUse -= r.bytes()
		for p.unused > p.most {
			p.evict()
		}
	})
}

// evict forgets the image that was not used for longest. The caller holds mu.
func (p *Projector) evict() {
	oldest := -1
	for i, r := range p.images {
		if r.users == 0 && (oldest < 0 || r.used < p.images[oldest].used) {
			oldest = i
		}
	}
	p.unused -= p.images[oldest].bytes()
	p.images = slices.Delete(p.images, oldest, oldest+1)
}

// row is the input embedding that a token stands for, nil where it stands for none that is known.
func (p *Projector) row(id int32) []float32 {
	if p == nil || !IsImageToken(id) {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	at, ok := slices.BinarySearchFunc(p.images, id, func(r *imageRows, id int32) int { return cmp.Compare(r.first, id) })
	if !ok {
		at--
	}
	if at < 0 || id >= p.end(p.images[at]) {
		return nil
	}
	k := int(id - p.images[at].first)
	return p.images[at].rows[k*p.width : (k+1)*p.width]
}

// SetProjector has the stage, which takes tokens, know the tokens of the projector's images;
// nil: none.
func (s *Stage) SetProjector(p *Projector) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.projector = p
}

// computeImages is compute for a batch of tokens some of which may be rows of images: runs of
// the one and of the other are computed apart, since llama.cpp takes either.
func (s *Stage) computeImages(b Batch) (out Output, err error) {
	for at := 0; at < len(b.Tokens); {
		image := IsImageToken(b.Tokens[at])
		end := at + 1
		for end < len(b.Tokens) && IsImageToken(b.Tokens[end]) == image {
			end++
		}
		part := Batch{Tokens: b.Tokens[at:end], Pos: b.Pos[at:end], Seq: b.Seq[at:end], Want: b.Want[at:end]}
		if image {
			part.Tokens, part.Hidden = nil, make([]float32, 0, (end-at)*s.width)
			for _, id := range b.Tokens[at:end] {
				row := s.projector.row(id)
				if row == nil {
					return Output{}, errImageGone
				}
				part.Hidden = append(part.Hidden, row...)
			}
		}
		next, err := s.computeRows(part)
		if err != nil {
			return Output{}, err
		}
		out.Hidden, out.Logits = append(out.Hidden, next.Hidden...), append(out.Logits, next.Logits...)
		for i, also := range next.Also {
			if i == len(out.Also) {
				out.Also = append(out.Also, nil)
			}
			out.Also[i] = append(out.Also[i], also...)
		}
		at = end
	}
	return out, nil
}

var errImageGone = errors.New("an image of the text is not held any more: send it again")
