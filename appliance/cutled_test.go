package main

import (
	"encoding/json"
	"net"
	"slices"
	"testing"
	"time"

	"skerry/appliance/cli"
	"skerry/appliance/conversation"
	"skerry/appliance/infer"
	"skerry/cloudlink/linksim"
)

// ledEvents reads what a board says, up to n tokens of it; 0: to the end.
func ledEvents(t *testing.T, f *follower, n int) (tokens []infer.Token, last conversation.Event) {
	t.Helper()
	for line := range f.lines {
		if err := json.Unmarshal(line, &last); err != nil {
			t.Fatal(err)
		}
		if last.Event == "token" {
			if tokens = append(tokens, *last.Token); len(tokens) == n {
				break
			}
		}
	}
	return tokens, last
}

// The link is cut in the midst of an answer that the cloud leads, with processes and the engine
// on both sides. With "alone" the board's draft speaks on without it, marked, with "stop" the
// answer ends there, and with "wait" it goes on once the link is back, and is the whole model's.
func TestCutWhileTheCloudLeads(t *testing.T) {
	if testing.Short() {
		t.Skip("three answers over a slow link")
	}
	dir, state := draftedTiny(t), t.TempDir()
	_, addr := startCloud(t, "--bundle", dir, "--whole", "--threads", "1", "--context", "1024", "--state", state)
	target, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	const before = 4
	common := []string{"--bundle", dir, "--threads", "1", "--context", "1024", "--ignore-end", "--raw", "--temperature", "1", "--seed", "5", "--max-tokens", "600", "The sea"}
	out, _ := expect(t, 0, append([]string{"run", "--json", "--mode", "unsplit"}, common...)...)
	want := idsOf(parseReport(t, out))
	for _, onLoss := range []infer.OnLoss{infer.GoAlone, infer.EndAnswer, infer.AwaitCloud} {
		t.Run(string(onLoss), func(t *testing.T) {
			fast := linksim.Spec{RTT: 10 * time.Millisecond, Rate: 20e6}
			link, err := linksim.Start(t.Context(), fast, target, 1)
			if err != nil {
				t.Fatal(err)
			}
			defer link.Close()
			board := follow(t, append([]string{"run", "--events", "--mode", "cloud-led", "--on-loss", string(onLoss), "--state", state, "--cloud", link.Addr().String()}, common...)...)
			// So slow that the whole answer would take many seconds.
			slow := fast
			slow.Rate = 40e3
			tokens, _ := ledEvents(t, board, 1)
			link.SetSpec(slow)
			more, _ := ledEvents(t, board, before-1)
			tokens = append(tokens, more...)
			link.Down(true)
			cut := time.Now()
			if onLoss == infer.AwaitCloud {
				for dropped := link.Up().Dropped; link.Up().Dropped < dropped+3; { // it has missed the cloud
					time.Sleep(5 * time.Millisecond)
				}
				link.SetSpec(fast)
				link.Down(false)
			}
			rest, end := ledEvents(t, board, 0)
			tokens = append(tokens, rest...)
			code := board.wait(t)
			said, verified := []int32{}, 0
			for _, x := range tokens {
				said = append(said, x.ID)
			}
			for verified < len(tokens) && tokens[verified].Verified {
				verified++
			}
			t.Logf("%d tokens, %d of them of the cloud in a row, %d bytes came back; the answer ended %v after the cut, lost %q, back %d times, code %d",
				len(tokens), verified, link.Back().Bytes, time.Since(cut).Round(time.Millisecond), end.Lost, end.Resumed, code)
			if verified < before || !slices.Equal(said[:verified], want[:verified]) {
				t.Errorf("%d tokens are the cloud's: %v, want %v", verified, said[:verified], want)
			}
			switch onLoss {
			case infer.GoAlone:
				if len(said) != len(want) || verified == len(said) || code != cli.ExitDegraded || end.Lost == "" {
					t.Errorf("%d of %d tokens, %d verified, code %d, %+v", len(said), len(want), verified, code, end)
				}
				for i, x := range tokens[verified:] {
					if alone := x.Source == infer.Fallback; x.Verified == alone || alone && x.Why != infer.WhyLost && x.Why != infer.WhyDown {
						t.Fatalf("token %d: %+v", verified+i, x)
					}
				}
			case infer.EndAnswer:
				if len(said) == len(want) || len(said) != verified || code == 0 {
					t.Errorf("%d of %d tokens, %d verified, code %d, %+v", len(said), len(want), verified, code, end)
				}
			case infer.AwaitCloud:
				if !slices.Equal(said, want) {
					t.Errorf("the text is %v, want %v", said, want)
				}
			}
		})
	}
}
