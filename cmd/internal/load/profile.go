//go:build linux

package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"runtime/pprof"
	"syscall"

	"strongroom/cmd/internal/heap"
	"strongroom/cmd/internal/serve"
	"strongroom/host/relay"
)

// serveProfiled is what strongroomd serve does, under Go's profiler, until it
// is told to stop: for the parts only, the figures are strongroomd's own.
func serveProfiled(ctx context.Context, data, profile string) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM)
	defer stop()
	heap.Raise(os.Getenv)
	file, err := os.Create(profile)
	if err != nil {
		return err
	}
	defer file.Close()
	free := relay.Rate{PerSecond: 1e6, Burst: 1e6}
	log := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	s, err := serve.Start(ctx, serve.Config{Data: data, Listen: "127.0.0.1:0", Admin: serve.AdminOff, AddressRate: free, AccountRate: free, Log: log})
	if err != nil {
		return err
	}
	begin := make(chan os.Signal, 1)
	signal.Notify(begin, syscall.SIGUSR1)
	log.Info("serving", "url", s.URL)
	select {
	case <-begin: // what follows is measured
	case <-s.Done():
		return s.Err()
	}
	if err := pprof.StartCPUProfile(file); err != nil {
		return err
	}
	<-s.Done()
	pprof.StopCPUProfile()
	return s.Err()
}

// profiled has the clients log in to a vault under the profiler.
func (b *bench) profiled(ctx context.Context, data, profile string, accounts []*account) (r round, err error) {
	own, err := os.Executable()
	if err != nil {
		return r, err
	}
	cmd := exec.CommandContext(ctx, own, "-serve", data, "-profile", profile)
	cmd.Env = append(os.Environ(), fmt.Sprintf("GOMAXPROCS=%d", procsMax()))
	s, err := awaitServer(cmd, data)
	if err != nil {
		return r, err
	}
	defer s.stop()
	if err := connectAll(s, accounts); err != nil {
		return r, err
	}
	if _, err := drive(s, accounts, warmLogins); err != nil {
		return r, err
	}
	if err := s.process.Process.Signal(syscall.SIGUSR1); err != nil {
		return r, err
	}
	return drive(s, accounts, b.logins)
}
