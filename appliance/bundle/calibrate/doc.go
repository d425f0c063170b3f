// Package calibrate fits exit heads from a model's own hidden states, with no
// training framework and no labels: the whole model reads text and writes
// answers once, while the residual stream after each exit and after the last
// block streams by.
//
// For each exit it solves for the translator T and bias b that bring norm(h_k)
// nearest to norm(h_N), by ridge regression from sums over all positions; then
// lowers the Kullback-Leibler divergence of the exit's distribution from the whole
// model's by gradient descent over a sample of the same positions (the tuned lens
// of Belrose et al., arXiv 2303.08112, whose loss this is). The LM head is cut to
// a shortlist of frequent tokens, sized by the share of the model's own greedy
// tokens it covers. What the heads are worth is measured on documents from
// sources they were not fitted to.
//
// The same seed, texts and kernels give the same heads.
package calibrate
