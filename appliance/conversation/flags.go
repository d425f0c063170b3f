package conversation

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"skerry/appliance/admin"
	"skerry/appliance/cli"
	"skerry/appliance/config"
	"skerry/appliance/decode"
	"skerry/appliance/decode/batch"
	"skerry/appliance/engine/gpu"
	"skerry/appliance/infer"
	"skerry/appliance/node"
	"skerry/cloudlink/linksim"
	"skerry/cloudlink/wire"
	"skerry/storage"
)

// Flags say what a conversation is to be like. Its fields are flags.
type Flags struct {
	Mode            string        `help:"Answer in this mode: ${modes}." default:"collaborative"`
	Threshold       *string       `help:"Believe an exit from this confidence on: T, or T1,T2 by exit; above 1 is never reached. Without it that is what calibration found, else 0.99." placeholder:"T[,T2]"`
	ExitPolicy      string        `help:"Believe an exit by this rule: ${policies}." placeholder:"RULE" hidden:""`
	OnLoss          string        `help:"While the cloud is lost, go on alone (with the whole model where memory has room for it, else the answer ends), wait, or stop." default:"alone"`
	MaxTokenLatency time.Duration `name:"max-token-latency" help:"Have the board say its own token past this time after the last one; 0 waits for the cloud however long it takes." default:"0" placeholder:"TIME"`
	MaxTokens       int           `help:"End the answer after so many tokens; 0 sets no limit." default:"256"`
	Seed            uint64        `help:"Draw tokens with this seed; the same seed gives the same text in every mode." default:"1"`
	Temp            float32       `name:"temperature" help:"Sample at this temperature; 0 takes the likeliest token." default:"0"`
	TopK            int           `help:"Sample among the K likeliest; 0 takes all." default:"40"`
	TopP            float32       `help:"Sample among the likeliest with this much probability; 0 takes all." default:"0.95"`
	MinP            float32       `help:"Sample among tokens at least this likely relative to the best." default:"0.05"`
	System          string        `help:"Put this system message before the prompt."`
	Image           []string      `help:"Put this image, a PNG, JPEG, WebP or GIF file, before the prompt; again for more. A prompt of one line may name the file as well, unless it comes on stdin." placeholder:"FILE" type:"path" sep:"none"`
	IgnoreEnd       bool          `name:"ignore-end" help:"Go on past the end of the answer, up to --max-tokens."`
	Raw             bool          `help:"Give the model the prompt as it is, without the chat template; control tokens in it, as <|fim_prefix|>, are meant."`

	Cloud   string `help:"Ask the cloud partition at this address. Without it that is the one this board is enrolled with, else one that is started here for the time of the run." placeholder:"HOST:PORT"`
	Link    string `help:"Put an emulated link before the cloud, as rtt=80ms,rate=2mbit,loss=1%." placeholder:"SPEC"`
	Eager   bool   `help:"Ask once exit 1 is unsure, before exit 2 is computed: sooner, and for nothing where exit 2 is sure."`
	Draft   string `help:"Have the whole model check drafted tokens several at a time, in modes whose text is the same without: where that is faster (auto), never (off), of what followed the same words before (lookup), or of the bundle's draft model (model)." default:"auto" enum:"auto,off,lookup,model"`
	Bundle  string `help:"Run this bundle. Without it the default model is fetched and split." placeholder:"DIR" type:"path"`
	Split   bool   `help:"Make a bundle in the cache, once, if --bundle is a GGUF."`
	State   string `help:"Keep certificates, sessions and counted bytes in this directory." placeholder:"DIR" type:"path"`
	Context int    `help:"Let the context hold so many positions." default:"4096"`
	Threads int    `help:"Compute with so many threads; 0 takes all cores but one, so that a cloud here has one too." default:"0"`
	cli.GPUFlag
	JSON   bool `name:"json" help:"Print one JSON object instead of text."`
	Events bool `help:"Print a line of JSON for every token as it is said, with begin and end."`

	Session    string `help:"Keep the conversation under this name for a day: an answer that was cut goes on where it was, one whose end was not written is given again, and a later run asks on. Where a daemon has the state directory, the daemon answers." placeholder:"NAME"`
	Again      bool   `help:"Ask anew where the session's last answer was cut or not written to its end; what there is of it is dropped."`
	MonthlyMB  uint64 `name:"monthly-mb" help:"Send and receive at most so many megabytes (10^6 bytes) a month, counted in the state directory. Once half are spent f32 is refused, once all are the board is alone; 0 sets no bound." default:"0" placeholder:"N"`
	Encoding   string `help:"Send hidden states as ${encodingsHelp}." default:"f32" enum:"${encodings}"`
	Durability string `help:"Write the tokens of a session down in groups (auto, or fast with longer ones) or one by one (strict)." default:"auto" enum:"auto,strict,fast"`
}

// neverReached stands for any threshold that no confidence reaches, so that a
// session can write down an infinite one.
const neverReached = 2

// options of the answer, checked before anything is loaded.
func (f *Flags) options() (decode.Options, error) {
	o := decode.Options{Mode: infer.Mode(f.Mode), MaxTokens: f.MaxTokens, OnLoss: infer.OnLoss(f.OnLoss), IgnoreEnd: f.IgnoreEnd, Eager: f.Eager, Draft: infer.Drafting(f.Draft),
		MaxTokenLatency: f.MaxTokenLatency, Policy: f.ExitPolicy,
		Sampling: infer.Sampling{Seed: f.Seed, Temperature: f.Temp, TopK: f.TopK, TopP: f.TopP, MinP: f.MinP}}
	if err := o.Sampling.Check(); err != nil { // which names the field that the flag is
		return o, errors.New("--" + strings.Replace(err.Error(), "_", "-", 1))
	}
	if f.Temp == 0 { // nothing of them has an effect
		o.Sampling.TopK, o.Sampling.TopP, o.Sampling.MinP = 0, 0, 0
	} else if f.TopP == 0 { // all, where a request's 0 is the likeliest token alone
		o.Sampling.TopP = 1
	}
	if f.Threshold != nil { // else each exit has its own
		for t := range strings.SplitSeq(*f.Threshold, ",") {
			v, err := strconv.ParseFloat(strings.TrimSpace(t), 64)
			if err != nil {
				return o, fmt.Errorf("--threshold %q: give a number, or two with a comma", *f.Threshold)
			}
			o.Thresholds = append(o.Thresholds, min(v, neverReached))
		}
	}
	if f.Link != "" {
		if _, err := linksim.Parse(f.Link); err != nil {
			return o, fmt.Errorf("--link: %w", err)
		}
	}
	if f.Cloud != "" {
		if _, _, err := net.SplitHostPort(f.Cloud); err != nil {
			return o, fmt.Errorf("--cloud %q: give HOST:PORT", f.Cloud)
		}
	}
	if f.Context < 16 {
		return o, fmt.Errorf("--context is %d: choose 16 or more", f.Context)
	}
	if f.Threads < 0 {
		return o, fmt.Errorf("--threads is %d: choose 0 (automatic) or more", f.Threads)
	}
	mode := decode.SpecOf(o.Mode)
	if mode.Name != "" && !mode.Cloud && (f.Cloud != "" || f.Link != "") {
		return o, fmt.Errorf("mode %s never asks a cloud: leave out --cloud and --link", f.Mode)
	}
	if !mode.Bounded && f.Encoding != "f32" {
		return o, fmt.Errorf("mode %s has an encoding of its own: leave out --encoding", f.Mode)
	}
	if f.MonthlyMB > 1e9 {
		return o, fmt.Errorf("--monthly-mb is %d: choose at most 1000000000, or 0 for a link that is not metered", f.MonthlyMB)
	}
	if f.Session != "" {
		if err := storage.CheckSession(f.Session); err != nil {
			return o, fmt.Errorf("--session: %w", err)
		}
	}
	if f.Raw && len(f.Image) > 0 {
		return o, errRawImage
	}
	if f.Again && f.Session == "" {
		return o, errors.New("--again is about a session: name it with --session")
	}
	if f.Session != "" && !mode.Exits && mode.Stages != decode.WholeModel {
		return o, fmt.Errorf("mode %s is a baseline and keeps no session: leave out --session", f.Mode)
	}
	if !mode.Bounded && f.MaxTokenLatency > 0 {
		return o, fmt.Errorf("mode %s has no deadline: leave out --max-token-latency", f.Mode)
	}
	return o, o.Check()
}

// notTheDaemons are the flags that ask for something that a daemon decides for itself.
func (f *Flags) notTheDaemons() (flags []string) {
	for flag, set := range map[string]bool{
		"--cloud": f.Cloud != "", "--link": f.Link != "", "--bundle": f.Bundle != "", "--threshold": f.Threshold != nil, "--eager": f.Eager, "--draft": f.Draft != string(infer.DraftAuto),
		"--max-token-latency": f.MaxTokenLatency > 0, "--ignore-end": f.IgnoreEnd, "--raw": f.Raw, "--on-loss": f.OnLoss != string(infer.GoAlone),
		"--encoding": f.Encoding != "f32", "--monthly-mb": f.MonthlyMB > 0, "--exit-policy": f.ExitPolicy != "",
		"--gpu-layers": f.GPULayers != gpu.Auto,
	} {
		if set {
			flags = append(flags, flag)
		}
	}
	slices.Sort(flags)
	return flags
}

// config is that of a board for one conversation.
func (f *Flags) config(bundle string) config.Config {
	conf := config.Default()
	conf.State, conf.Bundle, conf.Mode, conf.OnLoss, conf.Durability, conf.Draft = f.State, bundle, f.Mode, f.OnLoss, f.Durability, f.Draft
	conf.Context, conf.Parallel, conf.Threads, conf.GPULayers, conf.Queue, conf.Cache = f.Context, 1, f.Threads, f.GPULayers, 0, 0
	conf.Cloud = config.Cloud{Address: f.Cloud, Encoding: f.Encoding, MonthlyMB: int(f.MonthlyMB)}
	return conf
}

// explain says in the words of the flags why the board could not be opened.
func (f *Flags) explain(err error) error {
	if half := new(node.HalfSpentError); errors.As(err, &half) {
		return fmt.Errorf("half of the month's %d MB are spent, and exact hidden states (f32) are refused from there on: give --encoding %s, or raise --monthly-mb", half.MonthlyMB, wire.LossyNames())
	}
	if errors.Is(err, batch.ErrMemory) { // in whose words it is a setting
		return errors.New(strings.Replace(err.Error(), "set context to ", "give --context ", 1))
	}
	if errors.Is(err, storage.ErrLocked) {
		state, _ := config.StateDir(f.State)
		return fmt.Errorf("session %s is in the database of another skerry, which answers at none of %s: set SKERRY_SOCKET to its socket, wait for it to end, or give --state another", f.Session, strings.Join(admin.Sockets("", state), ", "))
	}
	return err
}
