package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// entries reads a cpio archive back.
func entries(t *testing.T, b []byte) map[string]string {
	t.Helper()
	list := map[string]string{}
	for len(b) >= 110 {
		field := func(i int) int {
			n, err := strconv.ParseUint(string(b[6+8*i:14+8*i]), 16, 32)
			if err != nil {
				t.Fatal(err)
			}
			return int(n)
		}
		if string(b[:6]) != "070701" {
			t.Fatalf("an entry begins with %q", b[:6])
		}
		size, name := field(6), field(11)
		data := (110 + name + 3) &^ 3
		list[string(b[110:110+name-1])] = string(b[data : data+size])
		b = b[(data+size+3)&^3:]
	}
	return list
}

func TestCpio(t *testing.T) {
	var b bytes.Buffer
	c := &cpio{w: &b, dirs: map[string]bool{}}
	c.file("init", cpioProg, []byte("program"))
	c.file("modules/kernel/a.ko", cpioFile, []byte("a"))
	c.file("modules/kernel/b.ko", cpioFile, nil)
	if err := c.close(); err != nil {
		t.Fatal(err)
	}
	got := entries(t, b.Bytes())
	for name, want := range map[string]string{"init": "program", "modules": "", "modules/kernel": "", "modules/kernel/a.ko": "a", "modules/kernel/b.ko": "", "TRAILER!!!": ""} {
		if data, ok := got[name]; !ok || data != want {
			t.Errorf("%s: %v %q", name, ok, data)
		}
	}
	if n := strings.Count(b.String(), "modules/kernel\x00"); n != 1 {
		t.Errorf("a directory is there %d times", n)
	}
}

func TestModulesComeWithWhatTheyNeed(t *testing.T) {
	dir := t.TempDir()
	dep := "kernel/fs/ext4/ext4.ko.xz: kernel/fs/jbd2/jbd2.ko.xz kernel/fs/mbcache.ko.xz\nkernel/fs/jbd2/jbd2.ko.xz:\nkernel/fs/mbcache.ko.xz:\nkernel/sound/soundcore.ko.xz:\n"
	if err := os.WriteFile(filepath.Join(dir, "modules.dep"), []byte(dep), 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := modules(dir)
	want := []string{"kernel/fs/ext4/ext4.ko.xz", "kernel/fs/jbd2/jbd2.ko.xz", "kernel/fs/mbcache.ko.xz"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v: %q", err, got)
	}
}

func TestInitIsStatic(t *testing.T) {
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	if err := checkStatic(self); err == nil && !strings.Contains(string(self[:20]), "\xb7") {
		t.Error("a program for this machine was taken")
	}
	if checkStatic([]byte("#!/bin/sh")) == nil {
		t.Error("a script was taken")
	}
}
