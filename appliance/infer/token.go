package infer

// Token is one token as it was said.
type Token struct {
	ID int32 `json:"id"`
	// Text is what can be shown once the token is out: its bytes up to the last whole
	// character. The texts of an answer's tokens join to the answer's whole text.
	Text   string `json:"text"`
	Source Source `json:"source"`
	// Verified says that the full model agrees or has said the token itself.
	Verified bool `json:"verified"`
	// Confidence is the probability of the likeliest token at the source, before any
	// filter; Margin is the gap between the two best logits.
	Confidence float64 `json:"confidence"`
	Margin     float64 `json:"margin"`
	// WaitMS is how long the token loop waited for the cloud, in milliseconds.
	WaitMS float64 `json:"wait_ms"`
	Why    Reason  `json:"why_not_asked,omitempty"`
	// Logprob, Bytes and Top are set where Logprobs was asked for. Logprob is the natural
	// logarithm of the token's probability at the source before any filter, Bytes are the
	// token's own, and Top are the likeliest tokens, the likeliest first.
	Logprob float64   `json:"logprob,omitempty"`
	Bytes   []byte    `json:"bytes,omitempty"`
	Top     []Logprob `json:"top,omitempty"`
	// Change is set on the first token that was decided in another mode.
	Change *Change `json:"change,omitempty"`
}

// Logprob is a token that might have been said, with the natural logarithm of its
// probability.
type Logprob struct {
	ID      int32   `json:"id"`
	Text    string  `json:"text,omitempty"`
	Bytes   []byte  `json:"bytes,omitempty"`
	Logprob float64 `json:"logprob"`
}

// Change of mode in the middle of an answer.
type Change struct {
	At     int    `json:"at"` // position of the first token decided in the mode
	To     Mode   `json:"to"`
	Reason string `json:"reason"` // a sentence, with the figures it rests on
}

// OnLoss says what is to become of an answer when the cloud is lost in the middle of it.
type OnLoss string

// What can become of it.
const (
	// GoAlone has the board go on until the cloud is back: with the whole model where
	// the board holds it, else with an exit that calibration lets speak alone. Where
	// there is neither, a short cut is waited for, and then the answer ends with an
	// error: an exit's guesses are no answer.
	GoAlone OnLoss = "alone"
	// EndAnswer ends the answer with an error.
	EndAnswer OnLoss = "stop"
	// AwaitCloud has the answer wait until the cloud is back.
	AwaitCloud OnLoss = "wait"
)

// Finish says why an answer ended.
type Finish string

// The ends.
const (
	Stop      Finish = "stop"       // the model ended it, or a stop string was met
	Length    Finish = "length"     // MaxTokens or the context
	ToolCalls Finish = "tool_calls" // it ends with calls
	Cancelled Finish = "cancelled"  // the client or an operator stopped it
	CloudLost Finish = "lost"       // the cloud was lost, and nothing on the board may go on without it
	Failed    Finish = "error"
)
