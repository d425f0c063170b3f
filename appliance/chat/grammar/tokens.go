package grammar

import (
	"bytes"
	"slices"
)

// Tokens are a vocabulary in an order in which those that begin alike stand together. It
// does not change.
type Tokens struct {
	size   int
	ids    []int32 // by their bytes
	text   []byte
	begins []int32 // of each token's bytes in text, and the end
	shared []int32 // first bytes that a token shares with the one before it
}

// NewTokens orders a vocabulary of so many tokens. Those without bytes never follow.
func NewTokens(size int, piece func(id int32) []byte) *Tokens {
	t := &Tokens{size: size}
	pieces := make([][]byte, size)
	for id := range pieces {
		if pieces[id] = piece(int32(id)); len(pieces[id]) > 0 {
			t.ids = append(t.ids, int32(id))
		}
	}
	slices.SortFunc(t.ids, func(a, b int32) int { return bytes.Compare(pieces[a], pieces[b]) })
	t.begins = append(t.begins, 0)
	var before []byte
	for _, id := range t.ids {
		p := pieces[id]
		n := 0
		for n < min(len(p), len(before)) && p[n] == before[n] {
			n++
		}
		t.shared = append(t.shared, int32(n))
		t.text = append(t.text, p...)
		t.begins = append(t.begins, int32(len(t.text)))
		before = p
	}
	return t
}

// Mask has a bit for each token, by its id.
type Mask []uint64

// Has reports whether the token's bit is set.
func (m Mask) Has(id int32) bool { return m[id>>6]&(1<<(id&63)) != 0 }

// masks are those of the sets of late: within a string the parse stays in one.
type masks struct {
	of   [4]*set
	mask [4]Mask
	next int
}

// Mask is the tokens that may follow. It must not be changed, and holds until the next
// call.
func (m *Matcher) Mask(t *Tokens) (Mask, error) {
	if i := slices.Index(m.masks.of[:], m.now()); i >= 0 {
		return m.masks.mask[i], nil
	}
	i := m.masks.next
	m.masks.next = (i + 1) % len(m.masks.of)
	m.masks.of[i] = nil
	if m.masks.mask[i] == nil {
		m.masks.mask[i] = make(Mask, (t.size+63)/64)
	}
	mask := m.masks.mask[i]
	clear(mask)
	m.walk(t, mask)
	if err := m.fault(); err != nil {
		return nil, err
	}
	m.masks.of[i] = m.now()
	return mask, nil
}

// walk tries the tokens in their order. The sets after the bytes that a token shares
// with the one before are known; once a byte leads nowhere, all tokens that share it are
// passed over.
func (m *Matcher) walk(t *Tokens, mask Mask) {
	path := []*set{m.now()}
	for i := 0; i < len(t.ids) && m.err == nil; {
		if i%checkEvery == 0 {
			m.check()
		}
		token := t.text[t.begins[i]:t.begins[i+1]]
		path = path[:t.shared[i]+1]
		for _, c := range token[t.shared[i]:] {
			s := m.step(path[len(path)-1], c)
			if s == dead {
				break
			}
			path = append(path, s)
		}
		reached := len(path) - 1
		if reached == len(token) {
			id := t.ids[i]
			mask[id>>6] |= 1 << (id & 63)
			i++
			continue
		}
		for i++; i < len(t.ids) && int(t.shared[i]) > reached; i++ {
		}
	}
}
