// Package gpu says which library computes on this machine's graphics processor, and how many
// layers of a model are to be put there. It reads files alone: package engine loads the library.
package gpu
