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
	Do:   "see what is wrong with `skerry model verify {dir}`, then get it anew: `skerry model fetch`",
})

// ModelFailed is a model that is whole and could not be loaded all the same.
var ModelFailed = declare(Problem{
	Code: "model-failed", Title: "Model was not loaded", Severity: status.Trouble,
	Text:   "{err}",
	Do:     "see what it is with `skerry model inspect {dir}`, or take the default one: `skerry model fetch`",
	Causes: []*Problem{ModelCorrupt, OutOfMemory},
})

// FetchFailed is a model that could not be had.
var FetchFailed = declare(Problem{
	Code: "fetch-failed", Title: "Model was not fetched", Severity: status.Trouble,
	Text: "{err}",
	Do:   "check the network and run `skerry model fetch`, or bring a file: `skerry model split FILE.gguf -o DIR`",
})

// ModelMissing is a daemon without a model.
var ModelMissing = declare(Problem{
	Code: "model-missing", Title: "No model", Severity: status.Trouble,
	Text:   "there is no model to answer with",
	Do:     "fetch the default one: `skerry model fetch`",
	Causes: []*Problem{ModelCorrupt, ModelFailed, FetchFailed, OutOfMemory},
	judge:  func(s seen) ([]string, bool) { return nil, s.State == status.NoModel },
})

// KernelsPortable is a processor not used as it could be.
var KernelsPortable = declare(Problem{
	Code: "kernels-portable", Title: "Slow kernels", Severity: status.Warning,
	Text:  "the portable kernels compute, several times slower than those built for this processor",
	Do:    "build them (`make kernels` in the source), or set SKERRY_KERNELS to their directory; `skerry version` shows which are in use",
	judge: func(s seen) ([]string, bool) { return nil, s.Kernels.Portable && s.Model != nil },
})

// NotCalibrated is a model whose exits have thresholds nobody has measured.
var NotCalibrated = declare(Problem{
	Code: "not-calibrated", Title: "Exits are not calibrated", Severity: status.Notice,
	Text:  "the threshold of the exit after block {block} of {model} is a guess: how often it differs from the full model is not known",
	Do:    "measure it, once: `skerry model calibrate DIR`",
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

// QueueFull is more to do than can be done.
var QueueFull = declare(Problem{
	Code: "queue-full", Title: "Requests are refused", Severity: status.Warning,
	Text: "{refused} requests in the last 5 minutes found the queue of {limit} full",
	Do:   "see who asks with `skerry ps`; raise `parallel` or `queue` in the configuration, or ask less at once",
	Gone: time.Minute,
	judge: func(s seen) ([]string, bool) {
		limit := uint64(5)
		if s.raised {
			limit = 1
		}
		return []string{"refused", strconv.FormatUint(s.refused, 10), "limit", strconv.Itoa(s.Queue.Limit)}, s.refused >= limit
	},
})
