// Package systemd is how the daemon talks to systemd: readiness and status text
// (sd_notify(3)), a watchdog fed by the progress of work and not by a timer, the
// sockets that systemd opened (sd_listen_fds(3)), and log records with fields. The
// unit files lie beside it. Without systemd every call does nothing.
package systemd
