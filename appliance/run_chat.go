package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync"
	"time"

	"skerry/appliance/decode"
	"skerry/appliance/infer"
	"skerry/appliance/status"
)

// chat answers line after line. Ctrl-C ends an answer, and between answers the
// chat, as Ctrl-D does.
func (r *conversation) chat(ctx context.Context) error {
	r.out.Note("Chat with %s. Ctrl-C stops an answer; Ctrl-D or /bye ends.", r.model)
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
	for lines := readLines(r.out.Stdin); ; {
		fmt.Fprint(r.out.Stderr, "> ")
		line := "/bye"
		select {
		case <-ctx.Done():
		case <-interrupts:
		case l, ok := <-lines:
			if ok {
				line = strings.TrimSpace(l)
			}
		}
		switch line {
		case "/bye":
			r.out.Note("")
			return nil
		case "":
			continue
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

// readLines sends stdin's lines and closes the channel at its end. The reader
// cannot be interrupted and ends with the process.
func readLines(r io.Reader) <-chan string {
	lines := make(chan string)
	go func() {
		defer close(lines)
		s := bufio.NewScanner(r)
		s.Buffer(nil, 1<<20)
		for s.Scan() {
			lines <- s.Text()
		}
	}()
	return lines
}
