// Package control is how an operator's tools talk to the daemon: the server half
// of /api/v1 beside the page's, and a typed client over the unix socket. It is
// what the command line, the serial console and a fleet's scripts are built on.
//
// The server half knows the daemon as a Daemon; package main is one. Handlers and
// client share the types below, which are also their JSON.
package control
