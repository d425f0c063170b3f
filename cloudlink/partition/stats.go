package partition

import "time"

// Stats are a server's counters since it was made.
type Stats struct {
	Version     string        // of the software: Config.Version
	Connections int64         // now
	Accepted    int64         // connections in all
	Unconfirmed int64         // connections whose first flight was a replay, or whose board gave up
	Sessions    int           // now
	Opened      int64         // sessions in all
	Refused     int64         // sessions refused
	Busy        uint64        // asks refused for want of room or time
	Throttled   uint64        // times the rate of a device's quota held its rows back
	Slow        int64         // sessions ended because their board left too much unread
	Foreign     int64         // uplinks and asks that named a session not their connection's
	BadFrames   int64         // streams ended for what came on them
	BytesUp     uint64        // of uplink frames
	FileBytes   uint64        // of files of bundles that boards fetched
	RowsUp      uint64        // hidden states received
	Queued      int           // hidden states not computed yet
	Waiting     int           // asks not answered yet
	Reserved    int           // positions the stages hold
	Contexts    int           // kept for boards that are not connected
	Evicted     uint64        // contexts emptied for want of room
	Expired     uint64        // contexts nobody came back for
	Saved       uint64        // times a context was written to a file
	Restored    uint64        // contexts that were read from a file
	Forwards    uint64        // forward passes
	Rows        uint64        // positions computed
	Answers     uint64        // asks answered
	Compute     time.Duration // in forward passes
	PerRow      time.Duration // of compute, smoothed over the newest passes; the slowest bundle's
	Wait        time.Duration // what a newcomer's ask would wait for others; the busiest bundle's
	Memory      Memory
	Stages      []StageStats
}

// StageStats are of one stage: of a bundle's tail, or of a whole model.
type StageStats struct {
	Bundle    string
	Whole     bool
	Sequences int           // contexts it can hold at once
	Context   int           // positions each of them may hold
	Weights   int64         // bytes, 0 where the stage does not say
	KV        int64         // bytes, of all contexts, used or not
	Sessions  int           // open now
	Kept      int           // contexts of boards that are not connected
	Positions int           // that contexts hold
	Queued    int           // hidden states not computed yet
	Waiting   int           // asks that wait for their row or for the stage
	Pass      time.Duration // that a pass of one row takes: T
	Further   time.Duration // that a further row of a pass takes: m times T
	PerRow    time.Duration // of compute, smoothed over the newest passes
	Wait      time.Duration // what a newcomer's ask would wait for others
}

// status describes the stage; mu is held.
func (s *scheduler) status() StageStats {
	stage, now := s.bundle.Stage, s.clock()
	st := StageStats{
		Bundle: s.bundle.Name, Whole: s.whole(), Sequences: stage.Sequences(), Context: stage.Context(),
		Positions: s.positions(), Pass: s.pace.Pass(1), Further: s.pace.Pass(2) - s.pace.Pass(1), PerRow: s.pace.PerRow(),
		Wait: s.predictWait(&deviceFlow{account: newcomer}, nil, 1, now),
	}
	st.Weights, st.KV = stageBytes(stage)
	for _, t := range s.tails {
		switch {
		case t.placeholder || t.closed:
		case t.detached:
			st.Kept++
		default:
			st.Sessions++
		}
		st.Queued += t.queue.Len()
		st.Waiting += len(t.asks)
	}
	return st
}

// Memory is what is held for boards, in bytes.
type Memory struct {
	Budget  int64 // Config.Budget
	Queues  int64 // hidden states not computed yet
	Outputs int64 // answers not delivered yet
	Asks    int64 // that wait, with their masks and the rows large answers are made of
	Early   int64 // what connections may have sent whose handshake is not over
	Fixed   int64 // kept rows of logits and read buffers of open sessions
	KV      int64 // positions in the stages, where those say what one costs
}

// Total is all that counts towards the budget.
func (m Memory) Total() int64 { return m.Queues + m.Outputs + m.Asks + m.Early + m.Fixed + m.KV }

// DeviceStats are what one device takes now, and since the server was made.
type DeviceStats struct {
	Device      string
	Connections int
	Sessions    int
	Streams     int    // that have not said what they are for, or wait for their session
	Queued      int64  // bytes of hidden states not computed yet
	Outputs     int64  // bytes of answers not delivered yet
	Asks        int64  // bytes of asks that wait, and of what their answers are made of
	Rows        uint64 // positions computed
	Answers     uint64
	Refused     uint64 // connections and sessions refused
	Busy        uint64 // asks refused for want of room or time
	Throttled   uint64 // times the quota's rate held its rows back
	Trouble     string // what the operator has to see to, as read last
}

// Devices returns what every device takes that was ever connected, by name.
func (s *Server) Devices() []DeviceStats {
	var out []DeviceStats
	for _, a := range s.accounts.all() {
		out = append(out, a.stats())
	}
	return out
}
