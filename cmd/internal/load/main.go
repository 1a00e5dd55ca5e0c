//go:build linux

// Command load measures a vault under load: it starts strongroomd in a
// process of its own, logs 64 clients in to it over loopback, again and
// again, and prints what a login costs the server, by part, beside the floor
// of its cryptography and what a peer takes. `make bench` runs it.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"time"
)

// options is the command line.
type options struct {
	strongroomd string
	tokens      string // strongroomd with the tag pkcs11
	dir         string
	clients     int
	logins      int
	rounds      int
	hsms        string
	serve       string
	profile     string
	boxes       int
	rate        int
	period      time.Duration
	callers     int
}

func parse() (o options) {
	flag.StringVar(&o.strongroomd, "strongroomd", "bin/strongroomd", "the program to measure")
	flag.StringVar(&o.tokens, "strongroomd-pkcs11", "", "the same, built with the tag pkcs11 (default: -strongroomd)")
	flag.StringVar(&o.dir, "dir", "", "folder to work in: the disk that it is on makes the commits durable (default: a temporary one)")
	flag.IntVar(&o.clients, "clients", 64, "clients at a time")
	flag.IntVar(&o.logins, "logins", 100, "logins of each client in a round")
	flag.IntVar(&o.rounds, "rounds", 3, "how often everything is measured; the table shows medians")
	flag.StringVar(&o.hsms, "hsm", "soft,pkcs11,tpm", "comma-separated providers")
	flag.StringVar(&o.serve, "serve", "", "be the vault of this folder until SIGTERM, and profile from SIGUSR1 on, to -profile")
	flag.StringVar(&o.profile, "profile", "", "see -serve; without it: keep the profile of the parts here")
	flag.IntVar(&o.boxes, "island", 0, "boxes of an island with a relay: logins in an open loop, at -rate for -for, and nothing else")
	flag.IntVar(&o.rate, "rate", 250, "logins begun a second, see -island")
	flag.DurationVar(&o.period, "for", 10*time.Minute, "see -island")
	flag.IntVar(&o.callers, "callers", 64, "connections to the relay, see -island")
	flag.Parse()
	if o.tokens == "" {
		o.tokens = o.strongroomd
	}
	return o
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, parse()); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) (err error) {
	if o.serve != "" {
		return serveProfiled(ctx, o.serve, o.profile)
	}
	if o.clients < 1 || o.logins < 1 || o.rounds < 1 {
		return fmt.Errorf("-clients, -logins and -rounds must be above zero")
	}
	if o.dir == "" {
		if o.dir, err = os.MkdirTemp("", "strongroom-load-"); err != nil {
			return err
		}
		defer os.RemoveAll(o.dir)
	}
	if o.boxes > 0 {
		f, err := measureOpen(ctx, o)
		if err != nil {
			return err
		}
		f.print(os.Stdout)
		return f.judge()
	}
	b := &bench{options: o}
	if b.floor, err = measureFloor(); err != nil {
		return err
	}
	for _, name := range strings.Split(o.hsms, ",") {
		if err := b.all(ctx, name); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return b.print(os.Stdout)
}
