package storage

import (
	"fmt"
	"testing"
)

// BenchmarkAppend: one token an append, as a decode loop does, with the sync at
// the end of an answer of 200 tokens.
func BenchmarkAppend(b *testing.B) {
	for _, durability := range []string{Strict, Auto} {
		b.Run(durability, func(b *testing.B) {
			db := open(b, board(b), Options{Durability: durability})
			log, err := db.CreateSession(SessionMeta{ID: "a"})
			must0(b, err, db.Sync())
			before := commits(b, db)
			pos := 0
			for b.Loop() {
				if pos == 4000 {
					must0(b, log.Truncate(0))
					pos = 0
				}
				must0(b, log.Append(pos, []int32{int32(pos)}))
				if pos++; pos%200 == 0 {
					must0(b, log.End())
				}
			}
			b.ReportMetric(float64(commits(b, db)-before)/float64(b.N), "commits/op")
		})
	}
}

// BenchmarkTicket: what a dial waits for.
func BenchmarkTicket(b *testing.B) {
	db := open(b, board(b), Options{})
	for b.Loop() {
		must0(b, db.PutTicket("cloud", make([]byte, 1500)))
		if _, err := db.TakeTicket("cloud"); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkOpen: a database of 8 MB, every record of it checked.
func BenchmarkOpen(b *testing.B) {
	path := board(b)
	db := open(b, path, Options{})
	for i := range 256 {
		log, err := db.CreateSession(SessionMeta{ID: fmt.Sprint(i)})
		must0(b, err, log.Append(0, make([]int32, 8192)))
	}
	for i := range int32(256) {
		log, err := db.OpenSession(fmt.Sprint(i))
		must0(b, err, log.Truncate(0))
		tokens := make([]int32, 8192)
		for n := range tokens {
			tokens[n] = i*8192 + int32(n) + 1<<16
		}
		must0(b, log.Append(0, tokens))
	}
	must0(b, db.Compact(), db.Close())
	for b.Loop() {
		db, err := Open(path, Options{})
		must0(b, err, db.Close())
	}
}
