package conversation

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"sync"
	"time"

	"skerry/appliance/cli"
	"skerry/appliance/decode"
	"skerry/appliance/infer"
	"skerry/appliance/status"
)

// Chat answers question after question. Ctrl-C ends an answer, and twice between answers the
// chat, as Ctrl-D does.
func (c *Conversation) Chat(ctx context.Context) error {
	c.out.Tell("Chat with %s. Ctrl-C stops an answer; Ctrl-D or /bye ends; /help shows what else there is.", c.model)
	signal.Reset(os.Interrupt) // from ending the program to ending an answer
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt)
	defer signal.Stop(interrupts)
	c.chatting = true
	s, err := c.session(ctx)
	if err != nil {
		return err
	}
	history := s.Messages
	if s.Unkept && !owed(s) {
		return c.tooLongToAskOn()
	}
	if owed(s) && c.Again {
		history = withdrawn(s)
	} else if owed(s) {
		c.out.Tell("> %s", lastQuestion(s).Content)
		if _, err := c.turn(ctx, interrupts, func(ctx context.Context) (infer.Answer, error) { return c.resume(ctx, s) }); err != nil {
			return err
		}
		if history, err = c.history(ctx, nil, transcript{}); err != nil {
			return err
		}
	}
	prompt := c.prompts(ctx, &history)
	defer prompt.Close()
	for {
		line, err := prompt.Next(ctx, interrupts)
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		asked, err := c.question(ctx, line)
		if err != nil {
			c.out.Tell("skerry: %s", status.OneLine(err))
			continue
		}
		q := c.request(history, asked, s)
		a, err := c.turn(ctx, interrupts, func(ctx context.Context) (infer.Answer, error) { return c.from.Ask(ctx, q) })
		switch {
		case errors.Is(err, decode.ErrPromptTooLong), len(asked.images) > 0 && refused(err):
			c.out.Tell("skerry: %s", status.OneLine(err))
			continue
		case err != nil:
			return err
		}
		if history, err = c.history(ctx, &q, a); err != nil {
			return err
		}
	}
}

// history is the conversation after an answer.
func (c *Conversation) history(ctx context.Context, q *infer.Request, a transcript) ([]infer.Message, error) {
	if c.Session != "" {
		s, err := c.session(ctx)
		if err == nil && s.Unkept {
			err = c.tooLongToAskOn()
		}
		return s.Messages, err
	}
	messages := q.Messages
	if q.Raw {
		messages = append(messages, infer.Message{Role: "user", Content: q.Prompt})
	}
	return append(messages, infer.Message{Role: "assistant", Content: a.Text}), nil
}

// cancelTime bounds how long a backend may take to hear that an answer is to end.
const cancelTime = 2 * time.Second

// turn is one answer of a chat, ended for good by an interrupt. Where a daemon does not hear of
// it, because it has not begun or hangs, a second one ends the wait for it, and the chat.
func (c *Conversation) turn(all context.Context, interrupts <-chan os.Signal, ask func(context.Context) (infer.Answer, error)) (transcript, error) {
	ctx, cancel := context.WithCancel(all)
	done, whole := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		var cancels sync.WaitGroup
		defer cancels.Wait()
		for told := false; ; {
			select {
			case <-interrupts:
			case <-whole:
				return
			}
			if c.Session == "" || told && c.board == nil {
				cancel()
				continue
			}
			told = true
			cancels.Go(func() { c.cancel(ctx) })
		}
	}()
	a, err := c.answer(ctx, ask)
	cancel()
	close(whole)
	<-done
	return a, err
}

// cancel ends the session's answer for good, and says why it could not unless ctx has ended.
func (c *Conversation) cancel(ctx context.Context) {
	brief, stop := context.WithTimeout(ctx, cancelTime)
	defer stop()
	if err := c.from.Cancel(brief, c.Session); err != nil && ctx.Err() == nil {
		c.out.Tell("skerry: %s", status.OneLine(err))
	}
}

// prompts asks for the questions, and does what is ordered between them.
func (c *Conversation) prompts(ctx context.Context, history *[]infer.Message) *cli.Prompt {
	p := cli.NewPrompt(c.out,
		cli.Command{Name: "/session", Help: "Say under which name the conversation is kept.", Do: func(string) error {
			if c.Session == "" {
				c.out.Tell("This conversation is not kept: skerry run --session NAME begins one that is.")
			} else {
				c.out.Tell("Session %s, %s so far.", c.Session, status.Plural(len(*history), "message"))
			}
			return nil
		}},
		cli.Command{Name: "/model", Args: "[NAME]", Help: "Say which model answers, or have another one.", Do: func(name string) error { return c.takeModel(ctx, name) }},
		cli.Command{Name: "/image", Args: "FILE", Help: "Put an image before the next question.", Do: func(path string) error { return c.putImage(ctx, path) }},
		cli.Command{Name: "/clear", Help: "Forget what was said: the next question begins anew.", Do: func(string) error { *history = nil; return nil }})
	for _, m := range *history {
		if m.Role == "user" {
			p.Remember(m.Content)
		}
	}
	return p
}
