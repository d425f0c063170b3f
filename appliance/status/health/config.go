package health

import "skerry/appliance/status"

// ConfigRefused is a configuration that was changed, and is not used for its faults.
var ConfigRefused = declare(Problem{
	Code: "config-refused", Title: "Configuration is not used", Severity: status.Warning,
	Text: "what was changed is not in force: {err}",
	Do:   "see where with `skerry config check`, then `sudo systemctl reload skerry`",
})

// RestartNeeded is a configuration of which a part waits for a restart.
var RestartNeeded = declare(Problem{
	Code: "restart-needed", Title: "Restart needed", Severity: status.Notice,
	Text: "changed, and in force only after a restart: {keys}",
	Do:   "`sudo systemctl restart skerry`",
})

// KeysInClear is a page on the network whose keys anybody on the way can read.
var KeysInClear = declare(Problem{
	Code: "keys-in-clear", Title: "Keys go unencrypted", Severity: status.Notice,
	Text: "{addr} answers without TLS: who listens on that network reads keys and answers",
	Do:   "give [tls] cert and key in the configuration (`skerry config show`), or listen on loopback behind a proxy",
})

// PageCertificate is the page's own certificate, about to end or not readable.
var PageCertificate = declare(Problem{
	Code: "page-certificate", Title: "Page's certificate", Severity: status.Warning,
	Text: "{err}",
	Do:   "put a new one where [tls] says (`skerry config show`): it is read when it changes",
})

// ListenFailed is an address that could not be listened on; the others serve.
var ListenFailed = declare(Problem{
	Code: "listen-failed", Title: "An address is not served", Severity: status.Warning,
	Text: "{err}",
	Do:   "see who has it with `sudo ss -ltnp`, or choose another in the configuration (`skerry config show`)",
})

// KeysUnusable is a file of API keys that cannot be read: nobody is let in by key.
var KeysUnusable = declare(Problem{
	Code: "keys-unusable", Title: "API keys cannot be used", Severity: status.Trouble,
	Text: "requests from the network are refused: {err}",
	Do:   "move the file away and make new keys: `skerry key new NAME`",
})
