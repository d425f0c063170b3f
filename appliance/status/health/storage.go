package health

import (
	"strings"
	"syscall"
	"time"

	"skerry/appliance/status"
)

// DiskFailing is a disk that cannot be read or written, or that the kernel has
// made read-only.
var DiskFailing = declare(Problem{
	Code: "disk-failing", Title: "Disk is failing", Severity: status.Trouble,
	Text: "{path} on {medium}: {err}: answers go on, nothing more is kept",
	Do:   "read what the kernel says (`sudo dmesg --level=err,warn`), copy what you need, and replace the card or disk",
	Gone: 10 * time.Second,
	judge: func(s seen) ([]string, bool) {
		st := s.Storage
		return []string{"path", st.Path, "medium", st.Medium, "err", st.Err}, says(st.Err, syscall.EIO, syscall.EROFS)
	},
})

// DiskFull is a disk on which nothing more can be kept.
var DiskFull = declare(Problem{
	Code: "disk-full", Title: "Disk is full", Severity: status.Trouble,
	Text: "{free} of {total} are free at {path}: answers go on, but new ones are not kept",
	Do:   "free some space: `skerry sessions ls` and `skerry sessions rm ID`, `sudo journalctl --vacuum-size=50M`",
	Gone: 10 * time.Second,
	judge: func(s seen) ([]string, bool) {
		limit := uint64(32 << 20)
		if s.raised {
			limit = 64 << 20
		}
		return space(s.Storage), s.Storage.TotalBytes > 0 && s.Storage.FreeBytes < limit || says(s.Storage.Err, syscall.ENOSPC, syscall.EDQUOT)
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
	Code: "database-write", Title: "Sessions are not kept", Severity: status.Warning,
	Text:   "answers go on, but sessions are not kept: {err}",
	Do:     "restart the daemon: `sudo systemctl restart skerry`; if it comes back, `skerry support-bundle`",
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
	Text: "it was damaged and is set aside as {file}; what was whole of it was kept",
	Do:   "see what is there with `skerry sessions ls`; then `sudo rm {file}` and `sudo systemctl restart skerry`",
	judge: func(s seen) ([]string, bool) {
		return []string{"file", s.Storage.SetAside}, s.Storage.SetAside != ""
	},
})

func space(st status.Storage) []string {
	return []string{"free", status.Bytes(st.FreeBytes), "total", status.Bytes(st.TotalBytes), "path", st.Path}
}

// says reports whether an error's text is, or ends in, that of one of the errors.
func says(text string, errs ...syscall.Errno) bool {
	for _, e := range errs {
		if strings.Contains(text, e.Error()) {
			return true
		}
	}
	return false
}
