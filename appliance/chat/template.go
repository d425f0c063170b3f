package chat

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/nikolalohinski/gonja/v2/config"
	"github.com/nikolalohinski/gonja/v2/exec"
	"github.com/nikolalohinski/gonja/v2/loaders"

	"skerry/appliance/answer"
)

// Template is a model's chat template (tokenizer.chat_template of its GGUF, Jinja). It
// may be used from several goroutines.
type Template struct {
	source, bos, eos string
	program          *exec.Template
	tools            bool
	now              func() time.Time
}

// NewTemplate parses a template. The texts of the BOS and EOS tokens are what it calls
// bos_token and eos_token. It may come from anywhere: it reaches no file, and what it
// may build and how long it may run are limited.
func NewTemplate(source string, bos, eos string) (*Template, error) {
	t := &Template{source: source, bos: bos, eos: eos, now: time.Now}
	if source == "" {
		return nil, fmt.Errorf("the model has no chat template: give it plain text")
	}
	if err := careful(source); err != nil {
		return nil, fmt.Errorf("chat template: %w", err)
	}
	if err := t.parse(); err != nil {
		return nil, oneLine(err)
	}
	t.tools = t.learnsTools()
	return t, nil
}

// parse compiles with the settings Hugging Face renders with: the line break behind a
// block and the blanks before one are not part of the text.
func (t *Template) parse() (err error) {
	defer recovered(&err)
	c := config.New()
	c.TrimBlocks, c.LeftStripBlocks = true, true
	loader, err := loaders.NewMemoryLoader(map[string]string{"/chat": prepared(t.source)})
	if err != nil {
		return err
	}
	t.program, err = exec.NewTemplate("/chat", c, loader, environment(t))
	return err
}

// prepared is a source in the dialect of gonja.
func prepared(source string) string {
	source = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(source)
	return inlined(generation.ReplaceAllString(strings.TrimSuffix(source, "\n"), ""))
}

// generation marks what training looks at; it renders nothing.
var generation = regexp.MustCompile(`\{%-?\s*(end)?generation\s*-?%\}`)

// recovered turns a panic of the template engine into an error.
func recovered(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("it fails: %v", r)
	}
}

// oneLine is what the template engine reports, on many levels, of a source; the cause is
// at its end.
func oneLine(err error) error {
	text := strings.Join(strings.Fields(err.Error()), " ")
	if len(text) > 300 {
		text = "… " + strings.ToValidUTF8(text[len(text)-300:], "")
	}
	return fmt.Errorf("chat template: %s", text)
}

// Render is the whole prompt as one text, for showing. To tokenize take RenderParts.
// Extra variables are the template's own, as enable_thinking. What the template says
// of a conversation it refuses comes as a BadRequest.
func (t *Template) Render(m []answer.Message, tools []answer.Tool, addGeneration bool, extra map[string]any) (string, error) {
	m, tools = t.shown(m, tools)
	return t.render(m, tools, addGeneration, extra, noMarks)
}

// shown puts tools that the template would not show into a system message.
func (t *Template) shown(m []answer.Message, tools []answer.Tool) ([]answer.Message, []answer.Tool) {
	if len(tools) == 0 || t.tools {
		return m, tools
	}
	return Describe(m, tools), nil
}

func (t *Template) render(m []answer.Message, tools []answer.Tool, addGeneration bool, extra map[string]any, k *marks) (text string, err error) {
	if len(m) == 0 {
		return "", answer.Errorf(answer.BadRequest, "messages", "there are no messages: give at least one")
	}
	messages, err := messagesOf(m, k, StyleOf(t))
	if err != nil {
		return "", err
	}
	b := newBudget(t.now)
	vars := map[string]any{
		budgetKey: b, "messages": messages, "add_generation_prompt": addGeneration,
		"bos_token": t.bos, "eos_token": t.eos,
	}
	for name, v := range extra {
		vars[name] = v
	}
	if len(tools) > 0 {
		if vars["tools"], err = toolsOf(tools, k); err != nil {
			return "", err
		}
	}
	defer func() {
		if err != nil {
			err = b.cause(err)
		}
	}()
	defer recovered(&err)
	var out strings.Builder
	if err := t.program.Execute(&limited{&out, b}, exec.NewContext(vars)); err != nil {
		return "", err
	}
	return out.String(), nil
}

// KnowsTools reports whether the template shows tools to the model. Where it does not,
// RenderParts describes them in a system message.
func (t *Template) KnowsTools() bool { return t.tools }

// learnsTools renders with a tool and looks for it.
func (t *Template) learnsTools() bool {
	const name = "probe_tool_name"
	m := []answer.Message{{Role: "user", Content: "hello"}}
	text, err := t.render(m, []answer.Tool{{Name: name, Description: name}}, true, nil, noMarks)
	return err == nil && strings.Contains(text, name)
}
