// Package strategies measures ways of answering side by side: what each takes in
// all, where the time goes, what goes up the link, and how often it says what the
// unsplit model says.
//
// Edge and cloud are two processes with a core and one computing thread each, and
// an emulated link between them. Every round gives each variant one turn over all
// prompts, in an order drawn anew; a ratio is taken within its round, and medians
// are reported. Answers are greedy and of equal length: they go on past the model's
// end of answer, so that totals can be compared.
package strategies
