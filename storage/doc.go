// Package storage keeps what must survive a power cut, in one bbolt file a
// process: DB is a board's (sessions with their token journals, session tickets,
// connection numbers, link history, enrolment), CloudDB a cloud's (devices,
// invites, ticket keys).
//
// Changes are applied in memory, where every reader sees them at once, and are
// written in groups: one commit costs two syncs, and a card of flash wears by
// them. What must not be forgotten (a connection number, a ticket taken, an
// invite used) is written before the call returns, together with whatever
// waited. A commit that fails is kept and tried again.
//
// Every value in the file carries a checksum over its key and itself, and the
// structure of the file is checked before bbolt maps it, because bbolt trusts
// its pages. A damaged file is set aside under a dated name, never overwritten.
//
// Reading the source: Open in db.go, openFile in file.go, store.put and
// store.commit in store.go and commit.go, SessionLog.Append in log.go, verify
// in verify.go.
package storage
