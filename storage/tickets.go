package storage

import (
	"encoding/binary"
	"fmt"
)

const maxTicket = 64 << 10

func ticketKey(cloud string, n uint64) string {
	return string(binary.BigEndian.AppendUint64([]byte(cloud+"\x00"), n))
}

func (db *DB) loadTickets() error {
	pairs, err := db.scan(ticketBucket, "")
	for _, p := range pairs {
		if len(p.key) > 8 { // shorter ones are not ours and stay
			db.tickets = max(db.tickets, binary.BigEndian.Uint64([]byte(p.key[len(p.key)-8:])))
		}
	}
	return err
}

// PutTicket keeps a session ticket for the cloud of that name, with the newest
// few before it. It does not wait for the commit: a ticket lost costs a round
// trip.
func (db *DB) PutTicket(cloud string, ticket []byte) error {
	if err := checkName(cloud, 255); err != nil {
		return err
	}
	if len(ticket) > maxTicket {
		return fmt.Errorf("ticket of %s has %d bytes, at most %d are kept", cloud, len(ticket), maxTicket)
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	have, err := db.scan(ticketBucket, cloud+"\x00")
	if err != nil {
		return err
	}
	db.tickets++
	key := ticketKey(cloud, db.tickets)
	changes := []Change{{ticketBucket, key, seal(key, ticket)}}
	for i := range len(have) + 1 - db.opt.KeepTickets {
		changes = append(changes, Change{ticketBucket, have[i].key, nil})
	}
	_, err = db.put(false, changes...)
	return err
}

// TakeTicket returns the newest ticket for a cloud, nil when there is none. It
// is out of the file before TakeTicket returns, so that no ticket is used twice
// even by a board that loses its power. After an error it is not used at all.
func (db *DB) TakeTicket(cloud string) (ticket []byte, err error) {
	n, key, value, err := db.popTicket(cloud)
	if err != nil || key == "" {
		return nil, err
	}
	if err := db.sync(n); err != nil {
		return nil, err
	}
	return ticket, unseal(key, value, &ticket)
}

func (db *DB) popTicket(cloud string) (n uint64, key string, value []byte, err error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	have, err := db.scan(ticketBucket, cloud+"\x00")
	if err != nil || len(have) == 0 {
		return 0, "", nil, err
	}
	last := have[len(have)-1]
	n, err = db.put(false, Change{ticketBucket, last.key, nil})
	return n, last.key, last.value, err
}
