package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"golang.org/x/sys/unix"

	"strongroom/cmd/internal/serve"
)

const demoTokenLifetime = 24 * time.Hour

// demoVaultCmd is a whole vault as its own process, until its standard input
// closes. Its first line says where it is; to each line that it gets it
// answers with the CPU time that it has used.
type demoVaultCmd struct {
	Dir     string `arg:""`
	Account string `arg:""`
}

func (c *demoVaultCmd) Run(s *session) error {
	ctx, stop := untilInputEnds(s, func() { fmt.Fprintln(s.term.Out, cpuUsed()) })
	defer stop()
	v, err := serve.Start(ctx, serve.Config{
		Waits: serve.WaitsNone,
		Data:  c.Dir, Listen: "127.0.0.1:0", Admin: serve.AdminOff, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		return err
	}
	tokens, err := v.IssueTokens(c.Account, demoTokenLifetime)
	if err != nil {
		return errors.Join(err, v.Stop())
	}
	text, err := json.Marshal(tokens)
	if err != nil {
		return errors.Join(err, v.Stop())
	}
	hello, err := json.Marshal(vaultHello{URL: v.URL, Pin: v.Pin.String(), Tokens: text})
	if err != nil {
		return errors.Join(err, v.Stop())
	}
	fmt.Fprintln(s.term.Out, string(hello))
	<-v.Done()
	return v.Err()
}

func cpuUsed() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
