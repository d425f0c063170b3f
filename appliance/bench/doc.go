// Package bench is what the benchmarks below it share: quartiles and ratios, and the
// tables and plots that they report with. Package decode times stages and exits, strategies
// ways of answering over a link to the partition of package remote, quality scores what they
// answer, and peer is llama.cpp as its own people build it.
package bench
