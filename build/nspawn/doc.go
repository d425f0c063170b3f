// Package nspawn boots a Debian with systemd in a container, for tests of packages
// and units on the real thing. It needs root, systemd-nspawn and mmdebstrap; the
// root file system is cached by what it is made of.
package nspawn
