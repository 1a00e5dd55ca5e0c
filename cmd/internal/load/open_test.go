//go:build linux

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"strongroom/test/cluster/island"
	"strongroom/test/soak"
)

// An island of five carries the promised load through one relay (P6). Times
// and memory are judged in the long run only: an everyday machine does other
// things too.
func TestOpenLoop(t *testing.T) {
	dir := t.TempDir()
	program, err := island.Build(dir)
	if err != nil {
		t.Fatal(err)
	}
	work := filepath.Join(dir, "island")
	if err := os.Mkdir(work, 0o700); err != nil {
		t.Fatal(err)
	}
	o := options{strongroomd: program, dir: work, boxes: 5, rate: soak.Size(50, 250), callers: 64, period: time.Duration(soak.Size(10, 600)) * time.Second}
	r, err := measureOpen(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	r.print(&table)
	t.Log(table.String())
	if err := r.judge(); soak.Long() && err != nil {
		t.Error(err)
	}
	soak.Tried(t, "P6", "logins in an open loop, five boxes and a relay", len(r.latencies), soak.Size(475, 142_500))
}

// A run that is slow, fails or grows is not called good.
func TestOpenJudge(t *testing.T) {
	good := func() *openRun {
		r := &openRun{options: options{rate: 10, period: 3 * time.Minute}}
		for range r.asked() {
			r.latencies = append(r.latencies, time.Millisecond)
		}
		for range 300 {
			r.memory = append(r.memory, 100)
		}
		return r
	}
	if err := good().judge(); err != nil {
		t.Fatal(err)
	}
	for what, spoil := range map[string]func(*openRun){
		"too little": func(r *openRun) { r.latencies = r.latencies[:len(r.latencies)*9/10] },
		"p99": func(r *openRun) {
			for n := range 20 {
				r.latencies[len(r.latencies)-1-n] = time.Second
			}
		},
		"memory grew": func(r *openRun) {
			for n := range 40 {
				r.memory[len(r.memory)-1-n] = 110
			}
		},
		"elections": func(r *openRun) { r.elections = 1 },
	} {
		r := good()
		spoil(r)
		if err := r.judge(); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
