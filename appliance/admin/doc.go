// Package admin is how an operator's tools talk to the daemon, and to a cloud: HTTP over a
// unix socket, one client, and errors that travel with a code. The command line, the serial
// console and a fleet's scripts are built on it.
//
// The daemon's half of /api/v1, beside the page's, knows the daemon as a Daemon, which
// package node makes. Handlers and client share the types below, which are also their JSON.
// What else may be done over a socket is declared as an Operation, once for both ends.
package admin
