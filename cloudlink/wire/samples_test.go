package wire

// samples has one of every message with every field set, for the golden bytes,
// the round trips and the seeds of the fuzz targets.
func samples() []Message {
	ref := Ref{Session: SessionID{1, 2, 3, 15: 16}, Epoch: 300, Branch: 7, Position: 70000}
	names := []BundleName{{ID: Hash{0xaa, 31: 0xbb}, Name: "smol"}}
	ask := NewAsk(ref, 9, 40, []int32{3, 1, 65000})
	whole := NewAnswer(ask, nil, []float32{0.5, -0.25})
	topK := NewAnswer(ask, []int32{8, 2}, []float32{2, 1.5})
	topK.LogSumExp, topK.Queue, topK.Compute, topK.Rows = 12.25, 1500, 32000, 500
	several := NewAsk(ref, 10, 2, nil)
	several.Rows = 3
	rows := NewAnswer(several, []int32{8, 2, 1, 5, 2, 8}, []float32{2, 1.5, 0.5, 0.25, 3, -1}, 2.5, 1.25)
	rows.LogSumExp, rows.Rows = 3.5, 9
	return []Message{
		&Hello{ProtocolMin: 1, ProtocolMax: 2, Device: "pi", Version: "1.0", Epoch: 300},
		&Welcome{Protocol: 1, Version: "1.1", Bundles: names},
		&Receipt{Ref: ref, Bytes: 1 << 20, Time: 1 << 40},
		&Drain{Grace: 5000},
		&Error{Ref: ref, Serial: 9, Code: CodeUnknownBundle, Text: "no such bundle", Fatal: true,
			RetryAfter: 250, Bundles: names, Owner: "cloud-2:7537", Highest: 301},
		&Open{Ref: ref, Protocol: 1, Bundle: Hash{0xaa}, Encodings: []DType{F32, F16, Q8_0}, Context: 4096, Exact: true},
		&Opened{Ref: ref, Encoding: F32, Context: 4096},
		ask, whole, topK,
		&Status{Version: "1.0", Mode: "collaborative", Health: "ok", BytesUp: 1 << 30, BytesDown: 1 << 20,
			Uptime: 86400, Bundle: Hash{0xaa}, Tokens: map[string]uint64{"exit1": 5, "cloud": 300}, Transport: "quic"},
		&Ping{Number: 70000}, &Pong{Number: 70000},
		&Close{Ref: ref},
		&UplinkHeader{Ref: ref, Keep: 70010},
		EncodeHidden(12, 3, []float32{1, 2, 3, 4, 5, 6}, F32),
		&Open{Ref: ref, Protocol: 1, Bundle: Hash{0xaa}, Encodings: []DType{Q8_0}, Newest: 2, Resends: true, Since: 6, Tokens: true},
		&Opened{Ref: ref, Encoding: Q8_0, Context: 4096, Protocol: 2},
		&UplinkHeader{Ref: ref, Keep: 70010, Since: 6},
		EncodeHidden(12, 3, []float32{1, 2, 3, 4, 5, 6}, F16),
		EncodeHidden(12, 32, make([]float32, 32), Q8_0),
		NewTokens(12, []int32{5, 6, 7}),
		&Generate{Ref: ref, Serial: 9, Max: 100, Ends: []int32{0, 2}},
		&Token{Ref: ref, Serial: 9, ID: 44, Confidence: 0.5, Margin: 1.25, Queue: 10, Compute: 20, Stop: StopMax},
		&Receipt{Ref: ref, Bytes: 1 << 20, Time: 1 << 40, Queue: 1234},
		&Welcome{Protocol: 2, Version: "1.1", Bundles: []BundleName{{ID: Hash{0xaa}, Name: "smol", Bytes: 1 << 27}}},
		&Error{Code: CodeUnauthorized, Text: "device pi was revoked", Fatal: true, Revoked: true},
		&Fetch{Bundle: Hash{0xaa}, File: "board-1.gguf", Offset: 1 << 33, Length: MaxPiece, Epoch: 300},
		&Piece{Offset: 1 << 20, Total: 1<<20 + 3, Data: []byte("end")},
		&Welcome{Protocol: 3, Version: "1.2", Bundles: []BundleName{{ID: Hash{0xaa}, Name: "smol", Whole: true}}},
		several, rows, NewAnswer(several, nil, []float32{1, 2, 3, 4, 5, 6}, 2.5, 1.25),
		&Offer{Number: 7, Version: "1.3.0", URL: "https://example.org/skerry/arm64", Ring: "canary", From: 120, Until: 300},
		&Offer{Number: 8, Version: "1.4.0", URL: "https://example.org/bundle", Ring: "all", Bundle: Hash{0xaa}},
		&Status{Version: "1.0", Mode: "auto", Health: "ok", Update: &Offered{Number: 7, Version: "1.3.0", State: "waiting", Reason: "until 02:00"}},
		&Lead{Ref: ref, Serial: 9, Max: 100, Begin: 60000, Window: 64, IgnoreEnd: true, Draft: "lookup", Sampler: []byte(`{"seed":7,"temperature":0.8}`)},
		&Led{Ref: ref, Serial: 9, IDs: []int32{44, 2}, Confidence: []float32{0.5, 1}, Margin: []float32{1.25, 8}, Logprob: []float32{-0.75, 0},
			Checks: 1, Drafted: 3, Accepted: 1, Queue: 10, Compute: 20, Stop: StopEnd},
		&Taken{Ref: ref, Serial: 9},
		&Hello{ProtocolMin: 1, ProtocolMax: 4, Device: "pi", Version: "1.3", Epoch: 300, Moves: WasSent, Bundle: append([]byte{0xaa}, make([]byte, 31)...)},
		&Welcome{Protocol: 4, Version: "1.3", Bundles: names, Claim: 1 << 40, Others: []string{"cloud-2:7537", "cloud-3:7537"}},
		&Drain{Grace: 5000, Others: []string{"cloud-2:7537"}},
	}
}
