package storage

import "sync"

// Buckets of a cloud's database.
const (
	deviceBucket = "devices" // by name: deviceRecord
	epochBucket  = "epochs"  // by name: the highest epoch
	seenBucket   = "seen"    // by name: seenRecord
	inviteBucket = "invites" // by hash: Invite
)

var cloudBuckets = []string{schemaBucket, deviceBucket, epochBucket, seenBucket, inviteBucket, valueBucket}

// CloudDB is a cloud's database. Its methods may be called concurrently. What
// the cloud acts on is in the file before the call returns; callers that come
// together share a commit.
type CloudDB struct {
	*store
	mu sync.Mutex // held from reading to writing, not through the commit
}

// OpenCloud opens a cloud's database, or makes it; see Open. A device that was
// lost with a damaged file is not admitted until it has enrolled anew.
func OpenCloud(path string, opt Options) (*CloudDB, error) {
	s, err := openFile(path, "cloud", cloudBuckets, opt)
	if err != nil {
		return nil, err
	}
	return &CloudDB{store: s}, nil
}

const ticketKeysKey = "ticket keys"

// TicketKeys returns the keys that PutTicketKeys kept, nil when there are none.
func (db *CloudDB) TicketKeys() (keys [][32]byte, err error) {
	_, err = db.value(ticketKeysKey, &keys)
	return keys, err
}

// PutTicketKeys keeps the keys session tickets are sealed with, in place of
// those before, and returns when they are in the file.
func (db *CloudDB) PutTicketKeys(keys [][32]byte) error {
	return db.keep(change{valueBucket, ticketKeysKey, seal(ticketKeysKey, keys)})
}
