package peer

import (
	"bufio"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Options of a Runner. KV is float16, as is llama.cpp's default.
type Options struct {
	Threads int // default 1
	Context int // positions of the KV cache, which llama.cpp rounds up to a multiple of 256; default 2048
	Batch   int // the most rows computed at once; default 256
	// FlashAttention computes attention in one fused operation, as our stages
	// do unless told otherwise.
	FlashAttention bool
	// Poll is how eagerly idle threads spin, 1 to 100; 0 is llama.cpp's own
	// default (50), -1 never spins.
	Poll int
}

func (o Options) args() []string {
	def := func(v, d int) string {
		if v == 0 {
			v = d
		}
		return strconv.Itoa(v)
	}
	flash, poll := "0", -1
	if o.FlashAttention {
		flash = "1"
	}
	if o.Poll != 0 {
		poll = max(o.Poll, 0)
	}
	return []string{def(o.Threads, 1), def(o.Context, 2048), def(o.Batch, 256), flash, strconv.Itoa(poll)}
}

// Runner is one process of llama.cpp with one model and one sequence. Its methods
// run one at a time.
type Runner struct {
	mu      sync.Mutex // guards all following fields
	cmd     *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Reader
	said    *tail
	kernels string
	started func() error // whether Start's context is done
	failed  error        // what ended it
}

// Start loads a model into a process of its own, which ends with ctx.
func (p *Peer) Start(ctx context.Context, modelPath string, o Options) (*Runner, error) {
	r, kernels, err := start(ctx, modelPath, p.driver(), append([]string{"run", p.libs(), modelPath}, o.args()...)...)
	if err != nil {
		return nil, err
	}
	r.kernels = strings.TrimSuffix(strings.TrimPrefix(filepath.Base(string(kernels)), "libggml-cpu-"), ".so")
	return r, nil
}

// start runs a driver until it has loaded the model, and returns what it says then.
func start(ctx context.Context, modelPath, driver string, args ...string) (*Runner, []byte, error) {
	cmd := exec.CommandContext(ctx, driver, args...)
	r := &Runner{cmd: cmd, said: &tail{}, started: ctx.Err}
	cmd.Stderr = r.said
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	r.in, r.out = in, bufio.NewReaderSize(out, 1<<16)
	if err := cmd.Start(); err != nil {
		return nil, nil, fmt.Errorf("the llama.cpp peer: %w", err)
	}
	said, _, err := r.answer()
	if err != nil {
		return nil, nil, r.end(ctx, fmt.Errorf("the llama.cpp peer cannot run %s: %w", filepath.Base(modelPath), err))
	}
	return r, said, nil
}

// Kernels is the CPU variant that the peer chose for itself, as "icelake".
func (r *Runner) Kernels() string { return r.kernels }

const (
	opPrompt = 'P'
	opDecode = 'D'
	opLogits = 'L'
	opSpeak  = 'S'
)

// Prompt clears the cache, evaluates tokens [n] as one prompt in batches of
// Options.Batch, with logits of the last, and returns the time that took.
func (r *Runner) Prompt(ctx context.Context, tokens []int32) (time.Duration, error) {
	_, t, err := r.call(ctx, opPrompt, tokens)
	return t, err
}

// Decode continues with tokens [n] one at a time after what is in the cache, with
// logits of each, and returns the time that took.
func (r *Runner) Decode(ctx context.Context, tokens []int32) (time.Duration, error) {
	_, t, err := r.call(ctx, opDecode, tokens)
	return t, err
}

// Logits returns [n_vocab]float32 of the last row computed.
func (r *Runner) Logits(ctx context.Context) ([]float32, error) {
	data, _, err := r.call(ctx, opLogits, nil)
	if err != nil {
		return nil, err
	}
	row := make([]float32, len(data)/4)
	for i := range row {
		row[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
	}
	return row, nil
}

// call sends one request and reads its answer. A done ctx ends the process.
func (r *Runner) call(ctx context.Context, op uint32, tokens []int32) ([]byte, time.Duration, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failed != nil {
		return nil, 0, r.failed
	}
	if op != opLogits && len(tokens) == 0 {
		return nil, 0, fmt.Errorf("the llama.cpp peer: no tokens")
	}
	killed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() { defer close(killed); r.cmd.Process.Kill() })
	req := binary.LittleEndian.AppendUint32(nil, op)
	req = binary.LittleEndian.AppendUint32(req, uint32(len(tokens)))
	for _, t := range tokens {
		req = binary.LittleEndian.AppendUint32(req, uint32(t))
	}
	_, err := r.in.Write(req)
	var data []byte
	var t time.Duration
	if err == nil {
		data, t, err = r.answer()
	}
	if !stop() {
		<-killed
		err = errors.Join(err, ctx.Err())
	}
	var refused statusError
	if err != nil && !errors.As(err, &refused) {
		return nil, 0, r.end(ctx, err)
	}
	return data, t, err
}

// statusError is a request that the peer's process refused and survived.
type statusError int32

func (e statusError) Error() string {
	if e == 1 {
		return "the llama.cpp peer: no room in the KV cache: raise the context"
	}
	return fmt.Sprintf("the llama.cpp peer: llama_decode failed (%d)", int32(e))
}

func (r *Runner) answer() ([]byte, time.Duration, error) {
	var h struct {
		Status      int32
		Bytes       uint32
		Nanoseconds int64
	}
	if err := binary.Read(r.out, binary.LittleEndian, &h); err != nil {
		return nil, 0, err
	}
	data := make([]byte, h.Bytes)
	if _, err := io.ReadFull(r.out, data); err != nil {
		return nil, 0, err
	}
	if h.Status != 0 {
		return nil, 0, statusError(h.Status)
	}
	return data, time.Duration(h.Nanoseconds), nil
}

// end waits for a process that broke off and returns the reason.
func (r *Runner) end(ctx context.Context, err error) error {
	r.in.Close()
	r.cmd.Process.Kill()
	wait := r.cmd.Wait()
	r.failed = cmp.Or(ctx.Err(), r.started())
	if r.failed == nil {
		r.failed = fmt.Errorf("%w: %v: %s", err, wait, firstLine(r.said.String()))
	}
	return r.failed
}

// Close ends the process and waits for it. A process that broke off, or whose
// context ended, is an error of the call that noticed, and none of Close.
func (r *Runner) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failed != nil {
		return nil
	}
	r.failed = errors.New("the llama.cpp peer is closed")
	r.in.Close()
	if err := r.cmd.Wait(); r.started() == nil {
		return err
	}
	return nil
}

// tail keeps the first complaints of a process.
type tail struct{ b strings.Builder }

func (t *tail) Write(p []byte) (int, error) {
	t.b.Write(p[:min(len(p), max(0, 2048-t.b.Len()))])
	return len(p), nil
}

func (t *tail) String() string { return t.b.String() }
