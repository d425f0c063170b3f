package node

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"skerry/appliance/config"
	"skerry/appliance/infer"
	"skerry/appliance/server"
	"skerry/appliance/status"
	"skerry/board"
)

// noModel never has one.
type noModel struct{ server.Loader }

func (noModel) Resolve(string) (infer.Model, error) { return infer.Model{}, nil }

func (noModel) Load(ctx context.Context, _ infer.Model, _ func(status.State, status.Progress)) (*server.Model, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// TestBoardIsSpared: a hot board computes with half of its threads and says why,
// until it has been cool for a minute.
func TestBoardIsSpared(t *testing.T) {
	conf := config.Default()
	conf.Threads, conf.Board.Hot = 4, 70
	d := &Node{Board: Board{log: slog.New(slog.DiscardHandler), core: server.New(server.Options{Loader: noModel{}})}, conf: conf}
	defer d.core.Shutdown(t.Context())
	b := newThermalControl(d)
	now := time.Now()
	at := func(c float64) board.ThermalLimit {
		now = now.Add(30 * time.Second)
		b.judge(now, []board.Reading{{Name: "cpu", Value: c, Unit: "°C"}}, board.Throttling{})
		return b.now()
	}
	if e := at(60); e.Spared || e.Threads != 4 {
		t.Errorf("cool: %+v", e)
	}
	if e := at(72); !e.Spared || e.Threads != 2 || !strings.Contains(e.Reason, "72 °C") {
		t.Errorf("hot: %+v", e)
	}
	at(55)
	at(55)
	if e := at(55); e.Spared || e.Threads != 4 {
		t.Errorf("cool for a minute: %+v", e)
	}
}

func TestSign(t *testing.T) {
	trouble := []status.Problem{{Severity: status.Trouble}}
	for want, s := range map[board.Sign]status.Status{
		board.Booting: {State: status.Loading},
		board.Ready:   {State: status.Ready, Link: status.Link{Wanted: true, State: "good"}},
		board.Alone:   {State: status.Ready, Link: status.Link{Wanted: true, State: "down"}},
		board.Trouble: {State: status.NoModel, Health: trouble},
	} {
		if got := sign(s); got != want {
			t.Errorf("%+v: %s, want %s", s, got, want)
		}
	}
}
