package schema

// formats are the texts between the quotes. Dates have days up to 28 where the month
// would have to be known.
var formats = map[string]string{
	"date":      date,
	"time":      clock + zone,
	"date-time": date + ` "T" ` + clock + zone,
	"uuid":      `[0-9a-f]{8} "-" [0-9a-f]{4} "-" [0-9a-f]{4} "-" [0-9a-f]{4} "-" [0-9a-f]{12}`,
	"ipv4":      octet + ` "." ` + octet + ` "." ` + octet + ` "." ` + octet,
	"email":     `[a-z0-9] [a-z0-9_]{0,30} ("." [a-z0-9_]{1,30})? "@" [a-z0-9] [a-z0-9]{0,30} ("." [a-z] [a-z0-9]{1,20}){1,3}`,
	"hostname":  label + ` ("." ` + label + `){0,3}`,
	"ipv6":      `(` + group + ` (":" ` + group + `){7} | ` + group + ` (":" ` + group + `){0,2} "::" ` + group + ` (":" ` + group + `){0,2} | "::" ` + group + `)`,
	"duration":  `"P" ((` + day + ` | ` + month + ` | ` + year + `) (` + period + `)? | ` + period + ` | [0-9]{1,4} "W")`,
	"uri":       `("http" "s"? "://") [a-z0-9] [a-z0-9]{0,30} ("." [a-z] [a-z0-9]{1,20}){1,3} ("/" [-A-Za-z0-9._~]{0,80}){0,8}`,
}

const (
	label = `[a-z0-9] ([a-z0-9] | "-" [a-z0-9]){0,20}`
	group = `[0-9a-f]{1,4}`
	// Of durations (RFC 3339, appendix A).
	day    = `[0-9]{1,4} "D"`
	month  = `[0-9]{1,4} "M" (` + day + `)?`
	year   = `[0-9]{1,4} "Y" (` + month + `)?`
	second = `[0-9]{1,4} "S"`
	minute = `[0-9]{1,4} "M" (` + second + `)?`
	hour   = `[0-9]{1,4} "H" (` + minute + `)?`
	period = `"T" (` + hour + ` | ` + minute + ` | ` + second + `)`

	date  = `[12] [0-9]{3} "-" (("0" [1-9] | "1" [0-2]) "-" ("0" [1-9] | "1" [0-9] | "2" [0-8]) | ("0" [13-9] | "1" [0-2]) "-" ("29" | "30") | ("0" [13578] | "1" [02]) "-31")`
	clock = `([01] [0-9] | "2" [0-3]) ":" [0-5] [0-9] ":" [0-5] [0-9] ("." [0-9]{1,6})?`
	zone  = ` ("Z" | [-+] ("0" [0-9] | "1" [0-2]) ":" [0-5] [0-9])`
	octet = `("25" [0-5] | "2" [0-4] [0-9] | "1" [0-9]{2} | [1-9]? [0-9])`
)

// noFormats are OpenAPI's, and say nothing of the JSON.
var noFormats = []string{"int32", "int64", "float", "double", "binary", "byte", "password"}
