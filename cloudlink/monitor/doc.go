// Package monitor judges the link: what it measures, in which of four states it
// is, and what an ask would cost now.
//
// It knows nothing of connections. Whoever owns one hands in its counters
// (Observe), the cloud's receipts (Receipt) and answers (Answered), and says when
// it is gone and back (Down, Up); Run does the first with a clock of its own.
// Round trips are those of RFC 9002; everything this package smooths itself it
// smooths as RFC 6298, section 2.
package monitor
