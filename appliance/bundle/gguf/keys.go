package gguf

// Metadata keys of tokenizers, as the specification of GGUF has them.
const (
	KeyTokenizer  = "tokenizer.ggml.model"
	KeyTokens     = "tokenizer.ggml.tokens"
	KeyMerges     = "tokenizer.ggml.merges"
	KeyTokenTypes = "tokenizer.ggml.token_type"
)

// Metadata keys by which a file of a bundle says whose it is.
const (
	KeyRole   = "skerry.role"
	KeyFrom   = "skerry.from" // first block
	KeyTo     = "skerry.to"   // block after the last
	KeySource = "skerry.source_sha256"
)
