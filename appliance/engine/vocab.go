package engine

/*
#include <stdlib.h>
#include "shim.h"
*/
import "C"

import (
	"fmt"
	"strings"
	"sync"
	"unsafe"

	"skerry/appliance/infer"
)

// Vocab is a model's tokenizer and chat template. It may be used from several
// goroutines and outlives the stage it came from.
type Vocab struct {
	m *model
	c *C.struct_llama_vocab
	n int
	// tokens, as grammars want them, are put in order when one is first used.
	tokens func() *tokenTable
	// ends are the tokens that end an answer.
	ends func() []int32
}

// Vocab returns the stage's tokenizer. Close it when done.
func (s *Stage) Vocab() *Vocab { return newVocab(s.m.retain()) }

// OpenVocab loads only the tokenizer of a GGUF.
func OpenVocab(path string) (*Vocab, error) {
	m, err := loadModel(path, 0, true)
	if err != nil {
		return nil, err
	}
	return newVocab(m), nil
}

func newVocab(m *model) *Vocab {
	c := C.llama_model_get_vocab(m.c)
	v := &Vocab{m: m, c: c, n: int(C.llama_vocab_n_tokens(c))}
	v.tokens = sync.OnceValue(v.table)
	v.ends = sync.OnceValue(func() (all []int32) {
		for id := range int32(v.n) {
			if v.End(id) {
				all = append(all, id)
			}
		}
		return all
	})
	return v
}

// Close releases the tokenizer.
func (v *Vocab) Close() { v.m.release() }

// Size is the number of tokens.
func (v *Vocab) Size() int { return v.n }

// Tokenize turns text into token ids. Special adds what the model wants at the
// start of a text (BOS); with markup, control tokens written out in the text are
// recognized, which is for templates and never for a user's words.
func (v *Vocab) Tokenize(text string, special, markup bool) ([]int32, error) {
	if text == "" && !special {
		return nil, nil
	}
	c := C.CString(text)
	defer C.free(unsafe.Pointer(c))
	ids := make([]int32, len(text)+8)
	for range 2 {
		n := int(C.llama_tokenize(v.c, c, C.int32_t(len(text)), (*C.llama_token)(&ids[0]), C.int32_t(len(ids)), C.bool(special), C.bool(markup)))
		if n >= 0 {
			return ids[:n], nil
		}
		ids = make([]int32, -n)
	}
	return nil, errorf(v.m.path, "tokenizing %d bytes failed", len(text))
}

// Piece is the bytes a token stands for; one token may hold part of a UTF-8
// sequence. With markup, control tokens are written out; else they are empty.
func (v *Vocab) Piece(id int32, markup bool) []byte {
	if id < 0 || int(id) >= v.n {
		return nil
	}
	buf := make([]byte, 64)
	for range 2 {
		n := int(C.llama_token_to_piece(v.c, C.llama_token(id), (*C.char)(unsafe.Pointer(&buf[0])), C.int32_t(len(buf)), 0, C.bool(markup)))
		if n >= 0 {
			return buf[:n]
		}
		buf = make([]byte, -n)
	}
	return nil
}

// Longest is the bytes of the longest token, so that n bytes of text are n/Longest tokens
// at least; 0 where a tokenizer drops some of the text and there is no such bound.
func (v *Vocab) Longest() (most int) {
	switch C.llama_vocab_type(v.c) {
	case C.LLAMA_VOCAB_TYPE_SPM, C.LLAMA_VOCAB_TYPE_BPE:
	default:
		return 0
	}
	for id := range int32(v.n) {
		most = max(most, len(v.Piece(id, true)))
	}
	return most
}

// End reports whether a token ends the answer (EOS, end of turn).
func (v *Vocab) End(id int32) bool {
	return id >= 0 && int(id) < v.n && bool(C.llama_vocab_is_eog(v.c, C.llama_token(id)))
}

// Infill are the control tokens that stand before, behind and in the middle of a prompt
// whose middle is wanted; ok is false where the model has none.
func (v *Vocab) Infill() (prefix, suffix, middle int32, ok bool) {
	prefix, suffix, middle = int32(C.llama_vocab_fim_pre(v.c)), int32(C.llama_vocab_fim_suf(v.c)), int32(C.llama_vocab_fim_mid(v.c))
	return prefix, suffix, middle, min(prefix, suffix, middle) >= 0
}

// HasTemplate reports whether the model carries a chat template.
func (v *Vocab) HasTemplate() bool { return v.Template() != "" }

// Template is the source of the model's chat template (Jinja), "" for none.
func (v *Vocab) Template() string { return C.GoString(C.llama_model_chat_template(v.m.c, nil)) }

// BOS is the text of the token that begins a text, "" where there is none.
func (v *Vocab) BOS() string { return string(v.Piece(int32(C.llama_vocab_bos(v.c)), true)) }

// EOS is the text of the token that ends a text, "" where there is none.
func (v *Vocab) EOS() string { return string(v.Piece(int32(C.llama_vocab_eos(v.c)), true)) }

// Chat renders messages by the model's chat template, ready for the assistant's
// answer. Templates are those llama.cpp knows by their look.
func (v *Vocab) Chat(messages []infer.Message) (string, error) {
	t := C.llama_model_chat_template(v.m.c, nil)
	if t == nil {
		return "", errorf(v.m.path, "the model has no chat template: give it plain text (--raw)")
	}
	size := 0
	chat := make([]C.struct_llama_chat_message, len(messages))
	for i, m := range messages {
		if strings.ContainsRune(m.Role+m.Content, 0) {
			return "", fmt.Errorf("message %d contains a NUL byte", i+1)
		}
		chat[i].role, chat[i].content = C.CString(m.Role), C.CString(m.Content)
		defer C.free(unsafe.Pointer(chat[i].role))
		defer C.free(unsafe.Pointer(chat[i].content))
		size += 2*len(m.Content) + 64
	}
	if len(chat) == 0 {
		return "", fmt.Errorf("no messages")
	}
	for {
		buf := make([]byte, size)
		n := int(C.llama_chat_apply_template(t, &chat[0], C.size_t(len(chat)), true, (*C.char)(unsafe.Pointer(&buf[0])), C.int32_t(size)))
		if n < 0 {
			return "", errorf(v.m.path, "its chat template is none that llama.cpp knows: give it plain text (--raw)")
		}
		if n <= size {
			return string(buf[:n]), nil
		}
		size = n
	}
}
