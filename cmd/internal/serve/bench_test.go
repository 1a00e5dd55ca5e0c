package serve_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"strongroom/client"
	"strongroom/cmd/internal/cell"
	"strongroom/cmd/internal/serve"
	"strongroom/protocol/wire"
)

// BenchmarkLogin is a whole login over loopback HTTP: both trips, channel,
// tokens, OPAQUE, two durable commits, and the client's part, which stretches
// next to nothing. What the pipe costs is the difference of the two.
// cpu-us/op is the CPU of vault, client and box together.
func BenchmarkLogin(b *testing.B) {
	for _, box := range []string{serve.BoxInside, serve.BoxProcess} {
		for _, clients := range []int{1, 32} {
			b.Run(fmt.Sprintf("box=%s/clients=%d", box, clients), func(b *testing.B) { benchmarkLogin(b, box, clients) })
		}
	}
}

func benchmarkLogin(b *testing.B, box string, clients int) {
	c := boxed(b.TempDir(), filepath.Join(b.TempDir(), "journal"), "none")
	c.Box = box
	if box == serve.BoxInside {
		c.BoxCommand = nil
	} else {
		c.BoxCommand = append([]string{os.Args[0]}, cell.Command, os.DevNull, "none")
	}
	s, err := serve.Start(b.Context(), c)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Stop()
	vaults := make(chan *client.Vault, clients)
	for i := range clients {
		account := fmt.Sprint("account", i)
		tokens, err := s.IssueTokens(account, time.Hour)
		if err != nil {
			b.Fatal(err)
		}
		v := &client.Vault{
			URL: s.URL, Pin: s.Pin, Account: account, Tokens: client.Tokens(tokens),
			Stretch: wire.Stretch{Time: 1, MemoryKiB: 8, Threads: 1}, Backoff: time.Millisecond,
		}
		if _, err := v.Register(b.Context(), right, aPayload); err != nil {
			b.Fatal(err)
		}
		vaults <- v
	}
	var failed atomic.Pointer[error]
	b.SetParallelism(max(1, clients/2)) // of two cores
	b.ResetTimer()
	before := cpu(b, s.BoxPID)
	b.RunParallel(func(pb *testing.PB) {
		v := <-vaults
		defer func() { vaults <- v }()
		for pb.Next() {
			if _, _, err := v.Recover(b.Context(), right); err != nil {
				failed.Store(&err)
				return
			}
		}
	})
	b.ReportMetric(float64((cpu(b, s.BoxPID)-before).Microseconds())/float64(b.N), "cpu-us/op")
	if err := failed.Load(); err != nil {
		b.Fatal(*err)
	}
}

// cpu is what this process and the box's used.
func cpu(b *testing.B, box int) time.Duration {
	b.Helper()
	var own syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &own); err != nil {
		b.Fatal(err)
	}
	used := time.Duration(own.Utime.Nano() + own.Stime.Nano())
	if box == 0 {
		return used
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", box))
	if err != nil {
		b.Fatal(err)
	}
	const ticksPerSecond = 100 // proc(5): USER_HZ
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	for _, f := range fields[11:13] { // utime, stime
		var ticks int64
		if _, err := fmt.Sscan(f, &ticks); err != nil {
			b.Fatal(err)
		}
		used += time.Duration(ticks) * time.Second / ticksPerSecond
	}
	return used
}
