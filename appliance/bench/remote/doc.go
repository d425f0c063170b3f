// Package remote is the two sides of a benchmark over a link: the edge in this process
// (Edge), and the cloud partition in another, on a core of its own (Partition, which is
// this program run again as Serve). The partition counts what it computes, and answers
// what the edge asks beside the link, as lines of JSON on stdin and stdout.
package remote
