// Command peers measures strongroom beside other backup programs on one
// messaging store: every step is a whole process, the programs take turns,
// and a table gives medians. `make bench-backup` runs it.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"

	"strongroom/cmd/internal/demostore"
)

// options is the command line.
type options struct {
	strongroom string
	dir        string
	rounds     int
	days       int
	only       string
	shape      demostore.Shape
	day        demostore.Day
	seed       uint64
	makeStore  bool
	makeDay    uint64
	firstDay   uint64
	small      int
}

func parse() (o options) {
	databaseMB, mediaMB := 0, 0
	flag.StringVar(&o.strongroom, "strongroom", "bin/strongroom", "the program to measure")
	flag.StringVar(&o.dir, "dir", "", "folder to work in, with room for six times the store; a store that an earlier run left there is used again (default: a temporary one)")
	flag.IntVar(&o.rounds, "rounds", 3, "how often everything is done")
	flag.IntVar(&o.days, "days", 7, "how many days are backed up after the last first backup")
	flag.StringVar(&o.only, "only", "", "comma-separated programs, all that are found if empty")
	flag.IntVar(&databaseMB, "database", 493, "MB of the database")
	flag.IntVar(&o.shape.Media, "media", 20_000, "media files")
	flag.IntVar(&mediaMB, "media-size", 1994, "MB of all media files")
	flag.IntVar(&o.day.Messages, "messages", 5000, "new messages a day")
	flag.IntVar(&o.day.Edits, "edits", 200, "edits a day")
	flag.IntVar(&o.day.Deletions, "deletions", 50, "deletions a day")
	flag.IntVar(&o.day.Media, "media-day", 150, "new media files a day")
	flag.Uint64Var(&o.seed, "seed", 1, "another seed, another store")
	flag.BoolVar(&o.makeStore, "make-store", false, "make the store in -dir and end")
	flag.Uint64Var(&o.makeDay, "make-day", 0, "add this day to the store in -dir and end")
	flag.Uint64Var(&o.firstDay, "first-day", 1, "number of the first day: another one for a store that is used again")
	flag.IntVar(&o.small, "small", 0, "instead of all this: so many small files in -dir, and what memory and silence they cost")
	flag.Parse()
	o.shape.DatabaseBytes, o.shape.MediaBytes = int64(databaseMB)*1e6, int64(mediaMB)*1e6
	o.day.MediaBytes = o.shape.MediaBytes / int64(max(o.shape.Media, 1)) * int64(o.day.Media) // as large as those there are
	return o
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, parse()); err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) (err error) {
	store := demostore.Store{Dir: filepath.Join(o.dir, phoneName), Seed: o.seed}
	switch {
	case o.makeStore:
		return store.MakeShape(ctx, o.shape)
	case o.makeDay > 0:
		return store.AddDayOf(ctx, o.makeDay, o.day)
	}
	if o.dir == "" {
		if o.dir, err = os.MkdirTemp("", "strongroom-peers-"); err != nil {
			return err
		}
		defer os.RemoveAll(o.dir)
	}
	if o.dir, err = filepath.Abs(o.dir); err != nil {
		return err
	}
	o.firstDay = max(1, o.firstDay)
	b := &bench{options: o}
	if o.small > 0 {
		return b.scale(ctx, os.Stdout)
	}
	if err := b.all(ctx); err != nil {
		return err
	}
	return b.print(os.Stdout)
}
