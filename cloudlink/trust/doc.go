// Package trust says who may talk to whom: the cloud's certificate authority,
// one-time invitation codes, the enrolment of boards with them, renewal and
// revocation. It opens no connection itself; whoever uses it brings one.
//
// A code carries the fingerprint of the authority, so that a board knows the
// cloud before it tells it the secret, and the cloud keeps only the secret's
// hash. The board makes its key itself and sends a signing request; the key
// never leaves it. An enrolled board and its cloud then authenticate each other
// by certificates of that one authority (TLS 1.3), by names of devices, not of
// hosts.
package trust
