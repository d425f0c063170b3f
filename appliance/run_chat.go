package main

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

// chat answers question after question. Ctrl-C ends an answer, and twice between answers the
// chat, as Ctrl-D does.
func (r *conversation) chat(ctx context.Context) error {
	r.out.Note("Chat with %s. Ctrl-C stops an answer; Ctrl-D or /bye ends; /help shows what else there is.", r.model)
	signal.Reset(os.Interrupt) // from ending the program to ending an answer
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt)
	defer signal.Stop(interrupts)
	r.chatting = true
	s, err := r.session(ctx)
	if err != nil {
		return err
	}
	history := s.Messages
	if s.Unkept && !owed(s) {
		return r.tooLongToAskOn()
	}
	if owed(s) && r.Again {
		history = withdrawn(s)
	} else if owed(s) {
		r.out.Note("> %s", lastQuestion(s))
		if _, err := r.turn(ctx, interrupts, func(ctx context.Context) (infer.Answer, error) { return r.resume(ctx, s) }); err != nil {
			return err
		}
		if history, err = r.history(ctx, nil, result{}); err != nil {
			return err
		}
	}
	prompt := r.prompts(ctx, &history)
	defer prompt.Close()
	for {
		line, err := prompt.Next(ctx, interrupts)
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		q := r.request(history, line, s)
		a, err := r.turn(ctx, interrupts, func(ctx context.Context) (infer.Answer, error) { return r.from.Ask(ctx, q) })
		switch {
		case errors.Is(err, decode.ErrPromptTooLong):
			r.out.Note("skerry: %s", status.OneLine(err))
			continue
		case err != nil:
			return err
		}
		if history, err = r.history(ctx, &q, a); err != nil {
			return err
		}
	}
}

// history is the conversation after an answer.
func (r *conversation) history(ctx context.Context, q *infer.Request, a result) ([]infer.Message, error) {
	if r.Session != "" {
		s, err := r.session(ctx)
		if err == nil && s.Unkept {
			err = r.tooLongToAskOn()
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
func (r *conversation) turn(all context.Context, interrupts <-chan os.Signal, ask func(context.Context) (infer.Answer, error)) (result, error) {
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
			if r.Session == "" || told && r.board == nil {
				cancel()
				continue
			}
			told = true
			cancels.Go(func() { r.cancel(ctx) })
		}
	}()
	a, err := r.answer(ctx, ask)
	cancel()
	close(whole)
	<-done
	return a, err
}

// cancel ends the session's answer for good, and says why it could not unless ctx has ended.
func (r *conversation) cancel(ctx context.Context) {
	brief, stop := context.WithTimeout(ctx, cancelTime)
	defer stop()
	if err := r.from.Cancel(brief, r.Session); err != nil && ctx.Err() == nil {
		r.out.Note("skerry: %s", status.OneLine(err))
	}
}

// prompts asks for the questions, and does what is ordered between them.
func (r *conversation) prompts(ctx context.Context, history *[]infer.Message) *cli.Prompt {
	p := cli.NewPrompt(r.out,
		cli.Command{Name: "/session", Help: "Say under which name the conversation is kept.", Do: func(string) error {
			if r.Session == "" {
				r.out.Note("This conversation is not kept: skerry run --session NAME begins one that is.")
			} else {
				r.out.Note("Session %s, %s so far.", r.Session, status.Plural(len(*history), "message"))
			}
			return nil
		}},
		cli.Command{Name: "/model", Args: "[NAME]", Help: "Say which model answers, or have another one.", Do: func(name string) error { return r.takeModel(ctx, name) }},
		cli.Command{Name: "/clear", Help: "Forget what was said: the next question begins anew.", Do: func(string) error { *history = nil; return nil }})
	for _, m := range *history {
		if m.Role == "user" {
			p.Remember(m.Content)
		}
	}
	return p
}
