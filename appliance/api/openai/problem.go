package openai

import "skerry/appliance/api/exchange"

type Shape struct{}

func (Shape) Fault(p *exchange.Problem) any {
	return map[string]any{"error": map[string]any{
		"message": p.Said.Message, "type": p.Kind, "param": orNull(p.Said.Param), "code": orNull(p.Code),
	}}
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}
