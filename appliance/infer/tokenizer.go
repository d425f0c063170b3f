package infer

import "context"

// Rememberer is what a Backend may be beside: it keeps conversations.
type Rememberer interface {
	// Remember returns the conversation of a session that by may use, with its last answer,
	// and the id of that. One that is still being answered is a Conflict.
	Remember(ctx context.Context, by By, session string) (messages []Message, answer string, err error)
}

// Tokenizer is what a Backend may be beside: the tokenizer and the chat template of a
// model, "" for the one that is loaded. Errors are *Error.
type Tokenizer interface {
	// Tokenize turns text into token ids. Special adds what the model wants at the start of a
	// text; with markup, control tokens written out in the text are recognized.
	Tokenize(ctx context.Context, model, text string, special, markup bool) ([]int32, error)
	// Pieces are the bytes that tokens stand for, one slice a token.
	Pieces(ctx context.Context, model string, ids []int32) ([][]byte, error)
	// Render is the prompt of a request as its text.
	Render(ctx context.Context, r Request) (string, error)
}
