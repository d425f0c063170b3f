package ollama

import "skerry/appliance/api/exchange"

type Shape struct{}

func (Shape) Fault(p *exchange.Problem) any { return map[string]string{"error": p.Said.Message} }
