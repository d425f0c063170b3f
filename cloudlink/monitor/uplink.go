package monitor

import "time"

// Uplink follows the rows of one session on their way up, by position. The zero
// value follows none yet. It is not safe for concurrent use.
type Uplink struct {
	marks   []mark // of rows no receipt has confirmed, oldest first
	done    int    // positions confirmed
	receipt time.Time
}

// receiptDelay is how long the news of a row may take beyond a round trip on a link
// that has nothing else to carry: the cloud gathers receipts for 20 ms, and whoever
// hands them in may look as rarely.
const receiptDelay = 50 * time.Millisecond

// mark says when the rows up to end were appended.
type mark struct {
	end int
	at  time.Time
}

// Appended says that the rows up to end are to go up.
func (u *Uplink) Appended(end int, now time.Time) {
	if end > u.end() {
		u.marks = append(u.marks, mark{end, now})
	}
}

func (u *Uplink) end() int {
	if n := len(u.marks); n > 0 {
		return u.marks[n-1].end
	}
	return u.done
}

// Truncate forgets the rows from pos on.
func (u *Uplink) Truncate(pos int) {
	u.done = min(u.done, pos)
	for n := len(u.marks); n > 0 && u.marks[n-1].end > pos; n-- {
		if u.end() > pos && (n == 1 && u.done < pos || n > 1 && u.marks[n-2].end < pos) {
			u.marks[n-1].end = pos
			return
		}
		u.marks = u.marks[:n-1]
	}
}

// Confirmed says that a receipt for the rows below pos has come. It reports
// whether the link alone decided when they arrived: all that are new had been
// appended a round trip and more before the receipt that came last, so that the
// sender has left no gap between the two.
func (u *Uplink) Confirmed(pos int, now time.Time, rtt time.Duration) (busy bool) {
	limit := u.receipt.Add(-rtt - receiptDelay)
	busy = !u.receipt.IsZero() && pos > u.done
	for len(u.marks) > 0 && u.done < pos {
		busy = busy && !u.marks[0].at.After(limit)
		if u.marks[0].end > pos {
			break
		}
		u.marks = u.marks[1:]
	}
	u.done, u.receipt = max(u.done, pos), now
	return busy
}

// Waiting returns how many rows are not confirmed yet, and for how long the link
// has had nothing else to carry: since the last receipt came, and no longer than
// since the oldest of them was appended.
func (u *Uplink) Waiting(now time.Time) (rows int, since time.Duration) {
	if len(u.marks) == 0 {
		return 0, 0
	}
	from := u.marks[0].at
	if u.receipt.After(from) {
		from = u.receipt
	}
	return u.end() - u.done, now.Sub(from)
}
