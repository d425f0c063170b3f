// Package quality measures how well ways of answering answer: each answers the same
// questions, greedily, and what it says is held against what is right and against what the
// unsplit model says.
//
// A task is questions of one kind. Some of our own are part of the program; others are read
// from the public files of the sets that CE-CoLLM was measured on (Jin and Wu, arXiv
// 2411.02829: Alpaca, XSum, BoolQ, QuAC and IMDB), or from a file of our own form, which is
// Entry as JSON, one a line.
//
// Answers are scored as is usual for their kind (ExactMatch, RougeL, Label, and a program's
// own tests, which run in package sandbox). A difference to the unsplit model is paired: it
// is taken question by question, and its interval is a bootstrap over the entries of the
// task.
package quality
