package gguf

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// maxData bounds what a file may carry, so that sums of sizes cannot overflow.
const maxData = 1 << 60

// Out is a tensor to write: its shape, and a callback that writes exactly as
// many bytes as the shape needs.
type Out struct {
	Name string
	Type Type
	Dims []int64
	Data func(ctx context.Context, w io.Writer) error
}

// Layout is a checked plan of a file: what Write will write.
type Layout struct {
	head      []byte // header, padded to where the data begin
	tensors   []Out
	sizes     []int64
	alignment int64
	size      int64
}

// Size is the size in bytes of the file.
func (l *Layout) Size() int64 { return l.size }

// Plan lays out a version 3 file. It fails on duplicate or over-long names,
// unknown types and impossible dimensions. The alignment is 32 bytes unless
// general.alignment is among the entries.
func Plan(kvs []KV, tensors []Out) (*Layout, error) {
	l := &Layout{tensors: tensors}
	check := &File{KVs: kvs, byKey: map[string]int{}, byName: map[string]int{}}
	le := binary.LittleEndian
	l.head = le.AppendUint32([]byte(magic), version3)
	l.head = le.AppendUint64(l.head, uint64(len(tensors)))
	l.head = le.AppendUint64(l.head, uint64(len(kvs)))
	for i, kv := range kvs {
		if err := check.newName(check.byKey, kv.Key, "metadata key"); err != nil {
			return nil, err
		}
		check.byKey[kv.Key] = i
		l.head = kv.append(l.head)
	}
	if err := check.parseAlignment(); err != nil {
		return nil, err
	}
	l.alignment = check.Alignment
	data := int64(0)
	for i, t := range tensors {
		if err := check.newName(check.byName, t.Name, "tensor"); err != nil {
			return nil, err
		}
		check.byName[t.Name] = i
		if len(t.Name) > maxName {
			return nil, fmt.Errorf("tensor name %s is longer than %d bytes", t.Name, maxName)
		}
		size, err := t.Type.Size(t.Dims)
		if err != nil {
			return nil, fmt.Errorf("tensor %s %w", t.Name, err)
		}
		if size > maxData-data {
			return nil, fmt.Errorf("tensor %s makes the file larger than %d bytes", t.Name, int64(maxData))
		}
		l.sizes = append(l.sizes, size)
		l.head = appendTensor(l.head, t, data)
		data = pad(data+size, l.alignment)
	}
	l.head = append(l.head, make([]byte, pad(int64(len(l.head)), l.alignment)-int64(len(l.head)))...)
	l.size = int64(len(l.head)) + data
	return l, nil
}

func appendTensor(b []byte, t Out, offset int64) []byte {
	le := binary.LittleEndian
	b = appendString(b, t.Name)
	b = le.AppendUint32(b, uint32(len(t.Dims)))
	for _, d := range t.Dims {
		b = le.AppendUint64(b, uint64(d))
	}
	b = le.AppendUint32(b, uint32(t.Type))
	return le.AppendUint64(b, uint64(offset))
}

// Write streams the file to w. It ends early with the context's error when
// that is done, with w's, or with a callback's; a callback that writes too
// much or too little is an error.
func (l *Layout) Write(ctx context.Context, w io.Writer) error {
	buf := bufio.NewWriterSize(&ctxWriter{ctx, w}, 1<<20)
	if _, err := buf.Write(l.head); err != nil {
		return err
	}
	zeros := make([]byte, l.alignment)
	for i, t := range l.tensors {
		q := &quota{w: buf, left: l.sizes[i]}
		if err := t.Data(ctx, q); err != nil {
			return fmt.Errorf("tensor %s: %w", t.Name, err)
		}
		if q.left != 0 {
			return fmt.Errorf("tensor %s: %d bytes missing", t.Name, q.left)
		}
		if _, err := buf.Write(zeros[:pad(l.sizes[i], l.alignment)-l.sizes[i]]); err != nil {
			return err
		}
	}
	if err := buf.Flush(); err != nil {
		return err
	}
	return ctx.Err()
}

type ctxWriter struct {
	ctx context.Context
	w   io.Writer
}

func (c *ctxWriter) Write(b []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.w.Write(b)
}

type quota struct {
	w    io.Writer
	left int64
}

var errQuota = errors.New("more bytes than its shape has")

func (q *quota) Write(b []byte) (int, error) {
	if int64(len(b)) > q.left {
		return 0, errQuota
	}
	n, err := q.w.Write(b)
	q.left -= int64(n)
	return n, err
}
