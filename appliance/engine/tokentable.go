package engine

import "skerry/appliance/chat/grammar"

// tokenTable is a vocabulary as grammars look at it. It does not change.
type tokenTable struct {
	all    *grammar.Tokens
	pieces [][]byte // with control tokens written out
	kinds  []tokenKind
}

type tokenKind uint8

const (
	textToken    tokenKind = iota
	endToken               // ends an answer
	controlToken           // is not shown
)

func (v *Vocab) table() *tokenTable {
	t := &tokenTable{pieces: make([][]byte, v.n), kinds: make([]tokenKind, v.n)}
	for id := range int32(v.n) {
		t.pieces[id] = v.Piece(id, true)
		switch {
		case v.End(id):
			t.kinds[id] = endToken
		case len(t.pieces[id]) > 0 && len(v.Piece(id, false)) == 0:
			t.kinds[id] = controlToken
		}
	}
	t.all = grammar.NewTokens(v.n, t.piece)
	return t
}

// piece is what a token adds to the text that a grammar binds: nothing, where it ends it.
func (t *tokenTable) piece(id int32) []byte {
	if t.kinds[id] == endToken {
		return nil
	}
	return t.pieces[id]
}
