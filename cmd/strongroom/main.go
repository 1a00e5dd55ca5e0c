// Command strongroom protects a messaging store: it backs up into any
// storage, encrypted under a key that only its owner can get back, and
// restores on another machine.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"strongroom/cmd/internal/folder"
	"strongroom/cmd/internal/storage"
	"strongroom/cmd/internal/terminal"
	"strongroom/store"
)

// commands is the command line.
type commands struct {
	Data string `help:"Folder with the backup key and the settings (default ${data}). For demo: the folder to show it with." type:"path" placeholder:"DIR"`
	JSON bool   `help:"Write JSON lines for programs instead of text, and ask nothing." name:"json"`

	LimitUpload   byteRate `help:"Send at most so much a second to the storage: 500k, 2M. Default: no limit." placeholder:"RATE"`
	LimitDownload byteRate `help:"Fetch at most so much a second from the storage." placeholder:"RATE"`

	Enable    enableCmd    `cmd:"" help:"Set up: make a backup key and choose how you get it back."`
	Backup    backupCmd    `cmd:"" help:"Back up. Without paths: what was backed up last time."`
	Snapshots snapshotsCmd `cmd:"" help:"List the backups there are."`
	Ls        lsCmd        `cmd:"" help:"List what a backup holds."`
	Diff      diffCmd      `cmd:"" help:"Show what differs between two backups."`
	Mount     mountCmd     `cmd:"" help:"Show the backups as folders (Linux)."`
	Restore   restoreCmd   `cmd:"" help:"Get a backup back, on this machine or on a new one."`
	Check     checkCmd     `cmd:"" help:"Check that the backup is whole."`
	Forget    forgetCmd    `cmd:"" help:"Forget old backups, by rules or by name."`
	Prune     pruneCmd     `cmd:"" help:"Remove what no backup needs any more."`
	Schedule  scheduleCmd  `cmd:"" help:"Have this system back up daily, hourly, or at a time of day."`
	Password  passwordCmd  `cmd:"" help:"Change the password, or switch from the 64-digit key to a password."`
	Key       keyCmd       `cmd:"" help:"Show the 64-digit key, or switch to it from the password (--only)."`
	Status    statusCmd    `cmd:"" help:"Show what is set up, what the vault counts, and the newest backup."`
	Cancel    cancelCmd    `cmd:"" help:"Stop a reset or deletion that somebody asked the vault for without your password and key."`
	Disable   disableCmd   `cmd:"" help:"Stop: delete the vault's record and this machine's key. Says what stays where."`
	Store     storeCmd     `cmd:"" help:"Try a storage before you trust it: strongroom store check URL."`
	Demo      demoCmd      `cmd:"" help:"See it all work: back up, lose the phone, restore, compare."`

	DemoWriter demoWriterCmd `cmd:"" hidden:""`
	DemoVault  demoVaultCmd  `cmd:"" hidden:""`
}

// session is what every command works with.
type session struct {
	ctx    context.Context
	term   *terminal.Terminal
	folder folder.Folder
	data   string // --data as it was given, "" for the default
	limits store.Limits
}

func main() {
	holdMemory()
	os.Exit(run(os.Args[1:], terminal.Standard(false)))
}

// run runs one command line and gives its exit code.
func run(args []string, term *terminal.Terminal) int {
	var c commands
	exit, exited := 0, false
	parser, err := kong.New(&c,
		kong.Name("strongroom"), kong.Description(description), kong.DefaultEnvars("STRONGROOM"),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.Vars{"data": folder.Default()}, kong.Writers(term.Out, term.Err),
		kong.Exit(func(code int) { exit, exited = code, true }),
	)
	if err != nil {
		fmt.Fprintln(term.Err, "strongroom:", err)
		return exitFailure
	}
	parsed, err := parser.Parse(args)
	if exited { // --help
		return exit
	}
	if err != nil { // a program that asked for JSON gets its refusal so too
		term.JSON = c.JSON || slices.Contains(args, "--json")
		return report(term, &usageError{err.Error()})
	}
	term.JSON = c.JSON
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// The second Ctrl-C ends the process at once, whatever it waits for: the
	// order of every command bears a kill.
	context.AfterFunc(ctx, stop)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends it at once
	term.Ctx = ctx
	s := &session{ctx: ctx, term: term, folder: folder.Folder{Path: c.Data}, data: c.Data,
		limits: store.Limits{Upload: int64(c.LimitUpload), Download: int64(c.LimitDownload)}}
	if c.Data == "" {
		s.folder.Path = folder.Default()
	}
	return report(term, parsed.Run(s))
}

// report tells of a command's end: nothing when it went well.
func report(term *terminal.Terminal, err error) int {
	if err == nil {
		return exitOK
	}
	story := explain(err)
	if loud := (*loudError)(nil); errors.As(err, &loud) {
		fmt.Fprint(term.Err, loud.said)
	}
	story.Happened = rooms.Replace(story.Happened)
	if term.JSON {
		if err := term.Event("error", story); errors.Is(err, io.ErrClosedPipe) {
			return exitFailure
		}
		return story.Code
	}
	term.Note("strongroom: %s", story.Happened)
	if story.Lost != "" {
		term.Note("  Lost: %s", story.Lost)
	}
	if story.Do != "" {
		term.Note("  Next: %s", story.Do)
	}
	return story.Code
}

// rooms takes the names of packages off an error's text: they help who mends
// the program, not who runs it.
var rooms = strings.NewReplacer("backup: ", "", "bundle: ", "", "client: ", "", "store: ", "", "chunk: ", "", "seal: ", "", "pack: ", "")

const description = `End-to-end encrypted backup. The key to it never leaves your devices in a form that anybody else can read;
a vault that counts wrong passwords, or a 64-digit key on paper, brings it back to a new one.

Storages: ` + storage.Forms + `.
file: a folder, a disk, a mounted share. s3: any S3-compatible bucket; keys by AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or an instance's role.
rclone: a remote of your rclone.conf (Google Drive, OneDrive, Dropbox, WebDAV, SFTP; iCloud Drive, experimental). strongroom store check URL tries any of them.

Exit codes: 0 done; 1 failed; 2 wrong command line; 3 wrong password or key; 4 the vault's record is destroyed, deleted or was never there;
5 the vault is out of reach (no guess was used); 6 the storage is out of reach, refuses or is full; 7 damage found (the rest was restored);
8 done, with warnings; 9 the vault's answer was lost (a guess may have been used); 10 the vault refused the account's token;
11 not the pinned vault, or no signed status of it; 12 the next attempt must wait (no guess was used).`
