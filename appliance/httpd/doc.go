// Package httpd is the HTTP server of the daemon: who may ask it what. It opens the
// listeners, bounds what a client may take, and checks keys and origins before any
// other handler sees a request.
//
// The listener that a request came over decides. The unix socket may do everything.
// Loopback may do everything without a key, but a browser may not write for a page
// of another origin, nor reach it under a name that is not this machine's (DNS
// rebinding). Everywhere else, the LAN, only /healthz needs no key.
package httpd
