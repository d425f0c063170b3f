// Package storage keeps what must survive a power cut, in one bbolt file a
// process. Store is such a file, Bucket a typed table in it and Value a single
// record: whoever keeps something defines its records, and lists them in the
// Kind of its database, so that each of them is checked when the file is opened.
// DB is a board's: sessions with their token journals and summaries, session
// tickets, connection numbers, link history, enrolment.
//
// Changes are applied in memory, where every reader sees them at once, and are
// written in groups: one commit costs two syncs, and a card of flash wears by
// them. What must not be forgotten (a connection number, a ticket taken, an
// invitation used) is written before the call returns, together with whatever
// waited. A commit that fails is kept and tried again.
//
// Every value in the file carries a checksum over its key and itself, and the
// structure of the file is checked before bbolt maps it, because bbolt trusts
// its pages. A damaged file is set aside under a dated name, never overwritten;
// what is whole of it goes on in the new one. Fields of records have explicit
// names in the file, and records a version: a file of before opens and loses
// nothing (testdata has two, and says how they were made).
//
// Reading the source: Open in db.go, openFile in file.go, Bucket in bucket.go,
// Store.put and Store.commit in store.go and commit.go, SessionLog.Append in
// log.go, DB.ListSessions in list.go, verify in verify.go.
package storage
