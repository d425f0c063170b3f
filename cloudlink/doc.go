// Package cloudlink connects a board to its cloud partition. Connections and their
// streams are made by cloudlink/transport, by QUIC or over TCP; only this package, its
// sessions, and the cloud's server, in cloudlink/partition, know it.
//
// A Client is one connection. A Session on it sends hidden states up as they
// are appended, without waiting, on one unidirectional stream per branch, and
// asks for logits on a stream of its own; receipts come back on the control
// stream. Everything is sent at once and confirmed later, so that the first
// answer of a fresh connection takes two round trips and not four, and with a
// session ticket one.
//
// What a Session does is in cloudlink/session: it knows its connection and its link by two
// small interfaces, which Client (clientsession.go) and the link's judge (linkjudge.go) are.
//
// A Link keeps a Client: it dials by QUIC, or by TLS on TCP where QUIC goes
// unanswered, notices within a second that a connection died on which somebody
// waits, dials again and attaches its sessions to the new connection.
//
// A first flight can be replayed by whoever saw it. Every connection therefore
// has an epoch of its own, which the cloud gives to the first that finishes its
// handshake in it; until then it takes nothing from anybody (partition).
package cloudlink
