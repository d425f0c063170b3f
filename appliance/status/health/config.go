package health

import "skerry/appliance/status"

// ConfigRefused is a configuration that was changed, and is not used for its faults.
var ConfigRefused = declare(Problem{
	Code: "config-refused", Title: "New settings are not in force", Severity: status.Warning,
	Text: "the configuration was changed and has an error, so the old settings stay in force: {err}",
	Do:   "find the error with `skerry config check`, then `sudo systemctl reload skerry`",
})

// RestartNeeded is a configuration of which a part waits for a restart.
var RestartNeeded = declare(Problem{
	Code: "restart-needed", Title: "Restart needed", Severity: status.Notice,
	Text: "these settings were changed and take effect after a restart: {keys}",
	Do:   "`sudo systemctl restart skerry`",
})

// KeysInClear is a page on the network whose keys anybody on the way can read.
var KeysInClear = declare(Problem{
	Code: "keys-in-clear", Title: "API keys are sent unencrypted", Severity: status.Notice,
	Text: "{addr} is served without TLS: anybody listening on that network can read keys and answers",
	Do:   "set cert and key of [tls] in the configuration (`skerry config show`), or listen on loopback behind a proxy",
})

// PageCertificate is the page's own certificate, about to end or not readable.
var PageCertificate = declare(Problem{
	Code: "page-certificate", Title: "The page's certificate needs attention", Severity: status.Warning,
	Text: "{err}",
	Do:   "put a new certificate at the paths of [tls] (`skerry config show`); it is used without a restart",
})

// ListenFailed is an address that could not be listened on; the others serve.
var ListenFailed = declare(Problem{
	Code: "listen-failed", Title: "Cannot listen on an address", Severity: status.Warning,
	Text: "{err}",
	Do:   "see which program uses it with `sudo ss -ltnp`, or choose another address in the configuration (`skerry config show`)",
})

// KeysUnusable is a file of API keys that cannot be read: nobody is let in by key.
var KeysUnusable = declare(Problem{
	Code: "keys-unusable", Title: "API keys cannot be used", Severity: status.Trouble,
	Text: "requests from the network are refused: {err}",
	Do:   "move the file away and make new keys: `skerry key new NAME`",
})
