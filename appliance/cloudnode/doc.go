// Package cloudnode puts a cloud partition together: the bundles and the engine's stages
// that compute them, the partition server behind a listener with its certificates, the
// record of the boards that are enrolled, the operator's socket and the metrics.
//
// Open and Serve run one; Operate reaches the one that runs on a state directory, and
// works on the directory itself where none does.
package cloudnode
