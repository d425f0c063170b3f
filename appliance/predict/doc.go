// Package predict says from measured costs what each mode would take for an answer, and
// chooses among modes by that. It computes nothing but numbers: no engine, no link, no
// clock.
//
// Times are in seconds. C and E are a pass of the whole model for one position in the cloud
// and on the board; c(k) is what a batch of k positions costs in such passes, 1 + m(k)(k-1),
// with the m measured at that size (Batch). R is a round trip with what losses add to it
// (Link.RoundTrip), U the upload of one position, P the prompt, N the answer.
//
// A draft costs d of a pass on the board for a token, and the whole model would have said
// its token with probability g, each position for itself. That is the one assumption that is
// known to be wrong: in recorded answers wrong drafts come in clusters, so that long drafts
// gain a little less than predicted. An answer from a prompt with n-grams of its own finds a
// match at a share of the positions (Lookup); a match costs nothing to draft.
//
//	unsplit            E for each token, E c(P) to the first
//	unsplit+draft      (k d + c(k+1)) E for (1 - g^(k+1)) / (1 - g) tokens
//	                   (Leviathan, Kalman and Matias, arXiv 2211.17192, section 3), with the
//	                   length k that makes a token cheapest, 0 where none saves anything to
//	                   speak of: package speculate, by which the modes themselves draft
//	standalone         d E
//	collaborative      d E, and for the share q of tokens that are not believed R + U and the
//	                   cloud's batch of what has come since the last: its length is
//	                   geometric, of mean 1/q
//	cloud-only         C: the next token is computed while one travels
//	cloud-led          as unsplit+draft, with the cloud's passes and its draft
//	verified           as unsplit+draft, with a check that takes R, U for each row and the
//	                   cloud's pass. Meanwhile the board drafts on, so that after a check
//	                   that was all right, whose own token was foreseen, less or nothing is
//	                   left to be drafted
//
// Where hidden states go up instead of token ids, the board computes the first stage (a share
// s of the model) of each position as well, as one batch before an ask or a check, and the cloud
// 1 - s of its pass. No mode is faster than its bytes go up.
//
// What it leaves out: the sampler and the tokenizer, headers of packets, a slow board's
// gain from tokens that a check brings beyond the drafts, the queue of a shared cloud beyond
// what its pass was measured to take, and waiting for a connection.
package predict
