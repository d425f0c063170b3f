package health

import "skerry/appliance/status"

// UpdateFailed is an update after which the old version came back.
var UpdateFailed = declare(Problem{
	Code: "update-failed", Title: "Update did not stick", Severity: status.Warning,
	Text: "version {version} was not kept, and the one before runs: {reason}",
	Do:   "see what there is with `skerry update check` and try again with `sudo skerry update apply`, or leave it with `sudo skerry update clear`",
	judge: func(s seen) ([]string, bool) {
		if s.Update == nil || s.Update.Last == nil || s.Update.Last.Kept || s.Update.Last.ByHand {
			return nil, false
		}
		return []string{"version", s.Update.Last.Version, "reason", s.Update.Last.Reason}, true
	},
})

// BundleUpdateFailed is an update of the model bundle after which the old one came back.
var BundleUpdateFailed = declare(Problem{
	Code: "bundle-update-failed", Title: "Update of the model did not stick", Severity: status.Warning,
	Text: "model bundle {version} was not kept, and the one before answers: {reason}",
	Do:   "see what there is with `skerry update check` and try again with `sudo skerry update apply`, or leave it with `sudo skerry update clear`",
	judge: func(s seen) ([]string, bool) {
		if s.Update == nil || s.Update.Bundle == nil || s.Update.Bundle.Last == nil {
			return nil, false
		}
		l := s.Update.Bundle.Last
		return []string{"version", l.Version, "reason", l.Reason}, !l.Kept && !l.ByHand
	},
})
