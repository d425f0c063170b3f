// Package decode measures what a split costs and what an exit saves: chained stages,
// early exits and a peer against the whole model, side by side in one process.
//
// Speeds of a shared or throttled machine drift, so nothing is compared with what was
// measured at another time: every round gives each candidate one turn, in an order drawn
// anew, and a ratio is taken within its round. What is reported are the quartiles of these
// ratios.
package decode
