// Package infer is the vocabulary of inference: what is asked of a model, what its
// answer is made of, and who said each token. The HTTP handlers turn OpenAI's and
// Ollama's shapes into it, the server and the token loop work with it, and the status
// page, the console and the metrics show it. It is a leaf: it imports nothing of the
// program, and everything may import it.
package infer
