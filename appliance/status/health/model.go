package health

import (
	"strconv"
	"time"

	"skerry/appliance/status"
)

// ModelCorrupt is a bundle whose files are not what its manifest says.
var ModelCorrupt = declare(Problem{
	Code: "model-corrupt", Title: "Model is damaged", Severity: status.Trouble,
	Text: "{err}",
	Do:   "see what is wrong with `skerry model verify {dir}`, then fetch it again: `skerry model fetch`",
})

// ModelFailed is a model that is whole and could not be loaded all the same.
var ModelFailed = declare(Problem{
	Code: "model-failed", Title: "Model could not be loaded", Severity: status.Trouble,
	Text:   "{err}",
	Do:     "see what the model is with `skerry model inspect {dir}`, or use the default one: `skerry model fetch`",
	Causes: []*Problem{ModelCorrupt, OutOfMemory},
})

// FetchFailed is a model that could not be had.
var FetchFailed = declare(Problem{
	Code: "fetch-failed", Title: "Model could not be fetched", Severity: status.Trouble,
	Text: "{err}",
	Do:   "check the network and run `skerry model fetch`, or copy a model file here: `skerry model split FILE.gguf -o DIR`",
})

// ModelMissing is a daemon without a model.
var ModelMissing = declare(Problem{
	Code: "model-missing", Title: "No model", Severity: status.Trouble,
	Text:   "there is no model to answer with",
	Do:     "fetch the default one: `skerry model fetch`",
	Causes: []*Problem{ModelCorrupt, ModelFailed, FetchFailed, OutOfMemory},
	judge:  func(s seen) ([]string, bool) { return nil, s.State == status.NoModel },
})

// TemplateFailed is a chat template that makes no prompt: requests with messages fail.
var TemplateFailed = declare(Problem{
	Code: "template-failed", Title: "Chat template cannot be rendered", Severity: status.Trouble,
	Text: "{model}: {err}",
	Do:   "use another build of the model, or the default one (`skerry model fetch`); plain prompts still work: `skerry run --raw`, /v1/completions",
	judge: func(s seen) ([]string, bool) {
		if s.Model == nil || s.Model.TemplateError == "" {
			return nil, false
		}
		return []string{"model", s.Model.Name, "err", s.Model.TemplateError}, true
	},
})

// Unable is a model that is loaded and cannot answer: its cloud is lost, and nothing on
// the board is worth hearing in its place.
var Unable = declare(Problem{
	Code: "unable", Title: "Questions cannot be answered", Severity: status.Trouble,
	Text:  "{why}",
	Do:    "see which part of the link fails: `skerry link test`; a board with room for the whole model answers without its cloud: `skerry status` says what is missing here",
	Gone:  2 * time.Second,
	judge: func(s seen) ([]string, bool) { return []string{"why", s.Unable}, s.State == status.Unable },
})

// ExitsAlone is a board that says what its exits guess.
var ExitsAlone = declare(Problem{
	Code: "exits-alone", Title: "Answers are guesses of early exits", Severity: status.Notice,
	Text: "mode standalone never asks the whole model: {worth}",
	Do:   "set `mode` to auto (`skerry config show`): the whole model then answers, here where it fits or in the cloud",
	judge: func(s seen) ([]string, bool) {
		return []string{"worth", standaloneWorth(s)}, s.State == status.Ready && s.Mode == "standalone" && (s.Model == nil || s.Model.Draft == nil)
	},
})

// standaloneWorth says what the exits' answers are worth.
func standaloneWorth(s seen) string {
	if s.Model != nil && s.Model.ExitsWorth != "" {
		return s.Model.ExitsWorth
	}
	return "its answers are not those of the model"
}

// KernelsPortable is a processor not used as it could be.
var KernelsPortable = declare(Problem{
	Code: "kernels-portable", Title: "Slow kernels", Severity: status.Warning,
	Text:  "the portable kernels are in use, which are several times slower than those built for this processor",
	Do:    "build them (`make kernels` in the source), or set SKERRY_KERNELS to their directory; `skerry version` shows which kernels are in use",
	judge: func(s seen) ([]string, bool) { return nil, s.Kernels.Portable && s.Model != nil },
})

// GPUNotUsed is a GPU, or kernels for one, of no use.
var GPUNotUsed = declare(Problem{
	Code: "gpu-not-used", Title: "GPU is not used", Severity: status.Warning,
	Text:  "the CPU computes alone: {why}",
	Do:    "mend what it says, or set `gpu_layers` to 0 where none is wanted; `skerry doctor` looks again",
	judge: func(s seen) ([]string, bool) { return []string{"why", s.Kernels.GPUNot}, s.Kernels.GPUNot != "" },
})

// NotCalibrated is a model whose exits have thresholds nobody has measured.
var NotCalibrated = declare(Problem{
	Code: "not-calibrated", Title: "Exits are not calibrated", Severity: status.Notice,
	Text:  "the threshold of the exit after block {block} of {model} is a guess: how often it differs from the whole model is unknown",
	Do:    "wait: the daemon calibrates it while nobody asks anything, unless `calibrate.enabled` is false; `skerry model calibrate DIR` does so at once",
	After: 5 * time.Second,
	judge: func(s seen) ([]string, bool) {
		if s.Model == nil || s.Mode == "unsplit" {
			return nil, false
		}
		for _, e := range s.Model.Exits {
			if !e.Calibrated {
				return []string{"block", strconv.Itoa(e.Block), "model", s.Model.Name}, true
			}
		}
		return nil, false
	},
})

// AnswerStalled is an answer that holds a slot and gets no further.
var AnswerStalled = declare(Problem{
	Code: "answer-stalled", Title: "An answer makes no progress", Severity: status.Warning,
	Text: "the answer of {session} has made no progress for {seconds} s and holds one of {slots}",
	Do:   "see who asked, and whether it waits for the cloud, with `skerry ps` and `skerry link test`; `sudo systemctl restart skerry` ends it, and an answer that has a session goes on afterwards",
	judge: func(s seen) ([]string, bool) {
		for _, x := range s.Sessions {
			if x.StalledS > 0 && s.Model != nil {
				return []string{"session", x.ID, "seconds", strconv.Itoa(int(x.StalledS)), "slots", status.Plural(s.Model.Parallel, "slot")}, true
			}
		}
		return nil, false
	},
})

// QueueFull is more to do than can be done.
var QueueFull = declare(Problem{
	Code: "queue-full", Title: "Requests are refused", Severity: status.Warning,
	Text: "{requests} were refused in the last 5 minutes: the queue of {limit} was full",
	Do:   "see who asks with `skerry ps`; raise `parallel` or `queue` in the configuration, or ask for less at once",
	Gone: time.Minute,
	judge: func(s seen) ([]string, bool) {
		limit := uint64(5)
		if s.raised {
			limit = 1
		}
		return []string{"requests", status.Plural(s.refused, "request"), "limit", strconv.Itoa(s.Queue.Limit)}, s.refused >= limit
	},
})
