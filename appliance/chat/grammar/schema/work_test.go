package schema

import (
	"fmt"
	"strings"
	"testing"
)

// listed is n texts with commas between them.
func listed(n int, text func(i int) string) string {
	var all []string
	for i := range n {
		all = append(all, text(i))
	}
	return strings.Join(all, ",")
}

func manyProperties(n int) string {
	return listed(n, func(i int) string { return fmt.Sprintf(`"k%d":{}`, i) })
}

func manyNames(n int) string { return listed(n, func(i int) string { return fmt.Sprintf(`"k%d"`, i) }) }

func manyRefs(n int) string { return listed(n, func(int) string { return `{"$ref":"#/$defs/a"}` }) }

// markedBy has alternatives of one large schema that a constant tells apart.
func markedBy(alternatives, properties int) string {
	return `{"$defs":{"a":{"properties":{` + manyProperties(properties) + `},"required":[` + manyNames(properties) + `]}},"oneOf":[` +
		listed(alternatives, func(i int) string {
			return fmt.Sprintf(`{"$ref":"#/$defs/a","properties":{"t":{"const":%d}},"required":["t"]}`, i)
		}) + `]}`
}

// Schemas whose parts are compared with one another again and again are refused; each of
// these would keep a core busy for minutes to hours.
func TestSchemaWork(t *testing.T) {
	numbers := func(n int) string { return listed(n, func(i int) string { return fmt.Sprint(i) }) }
	consts := listed(9000, func(i int) string { return fmt.Sprintf(`{"const":%d}`, i) })
	as := strings.Repeat("a", 200_000)
	for name, schema := range map[string]string{
		"properties met again and again": `{"$defs":{"a":{"properties":{` + manyProperties(3000) + `}}},"allOf":[` + manyRefs(5000) + `]}`,
		"an enum met again and again":    `{"$defs":{"a":{"enum":[` + numbers(3999) + `]}},"allOf":[` + manyRefs(5000) + `]}`,
		"demands of each property":       `{"$defs":{"a":{"properties":{` + manyProperties(1000) + `}}},"allOf":[{"$ref":"#/$defs/a"}` + strings.Repeat(`,{"additionalProperties":{}}`, 5000) + `]}`,
		"alternatives of one another":    `{"oneOf":[` + consts + `]}`,
		"large alternatives":             markedBy(800, 300),
		"a long name":                    `{"properties":{"` + strings.Repeat("k", 200_000) + `":{}},"additionalProperties":{}}`,
		"a pattern over long values":     `{"pattern":"` + strings.Repeat("(a{0,500})", 300) + `b$","enum":["` + as + `"]}`,
		"a long pattern over values":     `{"pattern":"` + as + `","enum":["` + as[:1000] + `"]}`,
	} {
		_, _, err := compile(schema, false)
		if err == nil || !strings.Contains(err.Error(), "too large") && !strings.Contains(err.Error(), "too long") && !strings.Contains(err.Error(), "alternatives") {
			t.Errorf("%s: %v", name, err)
		}
		if _, left, err := compile(schema, true); err != nil || len(left) == 0 {
			t.Errorf("%s, as well as can be: %v, %v", name, left, err)
		}
	}
}

// Large schemas that people write are followed.
func TestLargeSchemas(t *testing.T) {
	for name, schema := range map[string]string{
		"many alternatives": markedBy(60, 30),
		"many properties":   `{"properties":{` + manyProperties(1500) + `},"required":[` + manyNames(1000) + `]}`,
		"two enums":         `{"allOf":[{"enum":[` + manyNames(600) + `]},{"enum":[` + manyNames(500) + `]}]}`,
		"others' names":     `{"properties":{` + manyProperties(300) + `},"additionalProperties":{"type":"string"}}`,
		"an enum's pattern": `{"pattern":"^k[0-9]{1,4}$","enum":[` + manyNames(3000) + `]}`,
		"one schema often": `{"$defs":{"a":{"type":"object","properties":{` + manyProperties(20) + `}}},"properties":{` + listed(500, func(i int) string {
			return fmt.Sprintf(`"p%d":{"allOf":[{"$ref":"#/$defs/a"},{"required":["k1"]}]}`, i)
		}) + `}}`,
	} {
		if _, left, err := compile(schema, false); err != nil || len(left) > 0 {
			t.Errorf("%s: %v, %v", name, left, err)
		}
	}
}
