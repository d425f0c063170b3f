package health

import (
	"time"

	"skerry/appliance/status"
)

// DiskFailing is a disk that cannot be read or written, or that the kernel has
// made read-only.
var DiskFailing = declare(Problem{
	Code: "disk-failing", Title: "Disk is failing", Severity: status.Trouble,
	Text: "{path} on {medium}: {err}; questions are still answered, but nothing is saved",
	Do:   "read what the kernel says (`sudo dmesg --level=err,warn`), copy what you need, and replace the card or disk",
	Gone: 10 * time.Second,
	judge: func(s seen) ([]string, bool) {
		st := s.Storage
		return []string{"path", st.Path, "medium", st.Medium, "err", st.Err}, st.ErrCode == status.DiskFails
	},
})

// DiskFull is a disk on which nothing more can be kept.
var DiskFull = declare(Problem{
	Code: "disk-full", Title: "Disk is full", Severity: status.Trouble,
	Text: "{free} of {total} are free at {path}: questions are still answered, but nothing new is saved",
	Do:   "free some space: `skerry sessions ls` and `skerry sessions rm ID`, `sudo journalctl --vacuum-size=50M`",
	Gone: 10 * time.Second,
	judge: func(s seen) ([]string, bool) {
		limit := uint64(32 << 20)
		if s.raised {
			limit = 64 << 20
		}
		return space(s.Storage), s.Storage.TotalBytes > 0 && s.Storage.FreeBytes < limit || s.Storage.ErrCode == status.DiskFull
	},
})

// DiskNearlyFull is one that will be full soon.
var DiskNearlyFull = declare(Problem{
	Code: "disk-nearly-full", Title: "Disk is nearly full", Severity: status.Warning,
	Text:   "{free} of {total} are free at {path}",
	Do:     "free some space: `skerry sessions ls` and `skerry sessions rm ID`, `sudo journalctl --vacuum-size=50M`",
	Causes: []*Problem{DiskFull},
	After:  10 * time.Second, Gone: 10 * time.Second,
	judge: func(s seen) ([]string, bool) {
		limit := min(s.Storage.TotalBytes/20, 1<<30)
		if s.raised {
			limit += limit / 4
		}
		return space(s.Storage), s.Storage.FreeBytes < limit
	},
})

// DatabaseWrite is a database that could not be opened or takes nothing more, for
// another reason than its disk.
var DatabaseWrite = declare(Problem{
	Code: "database-write", Title: "Sessions are not saved", Severity: status.Warning,
	Text:   "questions are still answered, but sessions are not saved: {err}",
	Do:     "fix what it says, then restart the daemon: `sudo systemctl restart skerry`; if it happens again, make a report with `skerry support-bundle`",
	Causes: []*Problem{DiskFailing, DiskFull},
	Gone:   10 * time.Second,
	judge: func(s seen) ([]string, bool) {
		return []string{"err", s.Storage.Err}, s.Storage.Err != ""
	},
})

// DatabaseSetAside is a database that was damaged, and of which what was whole has
// been kept.
var DatabaseSetAside = declare(Problem{
	Code: "database-set-aside", Title: "Database was damaged", Severity: status.Warning,
	Text: "it was moved to {file}; what could still be read of it was kept",
	Do:   "see which sessions are left with `skerry sessions ls`; then `sudo rm {file}` and `sudo systemctl restart skerry`",
	judge: func(s seen) ([]string, bool) {
		return []string{"file", s.Storage.SetAside}, s.Storage.SetAside != ""
	},
})

// DatabaseUnerased is a database that could not be written anew without what was
// forgotten.
var DatabaseUnerased = declare(Problem{
	Code: "database-unerased", Title: "Deleted text is still in the database file", Severity: status.Warning,
	Text:   "deleted and expired sessions can no longer be read, but the file still holds their text: {err}",
	Do:     "free as much disk space as the database takes; the file is rewritten within the hour, or when the daemon stops: `sudo systemctl restart skerry`",
	Causes: []*Problem{DiskFailing, DiskFull},
	judge: func(s seen) ([]string, bool) {
		return []string{"err", s.Storage.Unerased}, s.Storage.Unerased != ""
	},
})

func space(st status.Storage) []string {
	return []string{"free", status.Bytes(st.FreeBytes), "total", status.Bytes(st.TotalBytes), "path", st.Path}
}
