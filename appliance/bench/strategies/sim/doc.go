// Package sim replays recorded tokens through a cloud, an edge and a link of
// given costs. Each strategy is played by events: a batch that a machine has done,
// rows that have come over the wire, an ask, an answer; what waits for what decides
// how long an answer takes. No time passes, and nothing here is measured but the
// tokens: which exit was how sure, and whether the unsplit model says the same.
//
// Not in it: loss, congestion control, the cost of attention over a longer prefix,
// and other users of the cloud, but for those of P95 and Clients.
package sim
