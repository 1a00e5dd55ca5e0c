// Command strongroomd runs a vault: for the operator.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"strongroom/cmd/internal/ceremony"
	"strongroom/cmd/internal/heap"
	"strongroom/cmd/internal/serve"
	"strongroom/host/node"
	"strongroom/protocol/bundle"
)

// Exit codes; --help shows them.
const (
	exitFailed     = 1
	exitUsage      = 2
	exitInUse      = 3
	exitFull       = 4
	exitDamaged    = 5
	exitPassphrase = 6
)

const description = `Strongroom's vault: keeps backup keys behind passwords, and counts guesses.

Start here:

  strongroomd serve                      make a vault and serve it on this machine
  strongroomd token --account alice      a pair of account tokens for a client
  strongroomd fleet                      the pin that clients check, and the rules
  strongroomd status                     whether it serves, and each box of its island

Every flag can also be given by environment (STRONGROOM_ and its name) or in a JSON file (--config). The HSM's passphrase is never a flag: set STRONGROOM_PASSPHRASE or give --passphrase-file.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 the data folder is in use, 4 no room on the disk, 5 the log, a key file or what custodians sign is damaged, or was put back, 6 the HSM's passphrase is missing or wrong.`

// cli is the command line.
type cli struct {
	Config kong.ConfigFlag `help:"JSON file with flags by name." env:"STRONGROOM_CONFIG" placeholder:"FILE"`

	Serve     serveCommand     `cmd:"" help:"Serve a vault; make it at the first start."`
	Relay     relayCommand     `cmd:"" help:"Serve a public front for an island whose boxes are elsewhere."`
	Status    statusCommand    `cmd:"" help:"Show the island: boxes, who leads, who is behind (while serve runs)."`
	Token     tokenCommand     `cmd:"" help:"Issue a pair of account tokens (also while serve runs)."`
	Fleet     fleetCommand     `cmd:"" help:"Show the fleet's pin and document (also while serve runs)."`
	Alerts    alertsCommand    `cmd:"" help:"Show the alerts of accounts as JSON lines (also while serve runs)."`
	AlertKey  alertKeyCommand  `cmd:"" help:"Make an alert key for a new fleet, to be kept away from its vault."`
	Box       boxCommand       `cmd:"" hidden:"" help:"The box's own process; serve --box=process starts it."`
	Ceremony  ceremonyCommand  `cmd:"" help:"Make an island of 3, 5 or 7 boxes, of a new fleet or for a fleet that grows, and a transcript that anybody can check."`
	Custodian custodianCommand `cmd:"" help:"Make a custodian's key, and sign what custodians decide."`
	ColdStart coldStartCommand `cmd:"" name:"coldstart" help:"Start an island that is new, or whose boxes were all down, on the order of its custodians."`
	Layout    layoutCommand    `cmd:"" help:"Add an island to the fleet, or leave one out."`
	Version   versionCommand   `cmd:"" help:"Show which program this is."`
}

// dataFlag is the flag that the commands share.
type dataFlag struct {
	Data string `help:"Data folder (${data} unless given)." env:"STRONGROOM_DATA" default:"${data}" type:"path" placeholder:"FOLDER"`
}

// streams is where a command writes.
type streams struct{ out, err io.Writer }

func main() {
	// A file-size limit then comes back as an error from write, with a
	// sentence of ours, and not as a signal that ends the process.
	signal.Ignore(syscall.SIGXFSZ)
	heap.Raise(os.Getenv)
	os.Exit(run(os.Args[1:], streams{os.Stdout, os.Stderr}))
}

// exited is what kong panics with where it would end the process.
type exited int

// run is the whole program but for its process. It answers the exit code.
func run(args []string, s streams) (code int) {
	var c cli
	parser, err := kong.New(&c,
		kong.Name("strongroomd"), kong.Description(description),
		kong.Configuration(readConfiguration), kong.Writers(s.out, s.err),
		kong.Exit(func(code int) { panic(exited(code)) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 110}),
		kong.Vars{"data": dataDefault(), "listen": serve.ListenDefault, "admin": serve.AdminDefault,
			"ttl": serve.TokenLifetimeDefault.String()},
		kong.Bind(s),
	)
	if err != nil {
		fmt.Fprintf(s.err, "strongroomd: %v\n", err)
		return exitFailed
	}
	defer func() { // --help ends here
		switch ended := recover().(type) {
		case nil:
		case exited:
			code = int(ended)
		default:
			panic(ended)
		}
	}()
	if len(args) == 0 {
		args = []string{"--help"}
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintf(s.err, "strongroomd: %v.\nstrongroomd --help shows the commands, strongroomd COMMAND --help their flags.\n", err)
		return exitUsage
	}
	if err := parsed.Run(); err != nil {
		fmt.Fprintf(s.err, "strongroomd: %v.\n", strings.TrimRight(err.Error(), "."))
		return exitOf(err)
	}
	return 0
}

// exitOf is the exit code for an error, 1 where none is its own.
func exitOf(err error) int {
	for code, causes := range map[int][]error{
		exitUsage:      {serve.ErrPolicy, serve.ErrPlain, serve.ErrUsage, serve.ErrIslandFile, serve.ErrNodeKey, ceremony.ErrPlan, ceremony.ErrCard},
		exitInUse:      {serve.ErrInUse},
		exitFull:       {node.ErrFull, syscall.ENOSPC, syscall.EDQUOT},
		exitDamaged:    {node.ErrDamaged, serve.ErrDamaged, ceremony.ErrTranscript, ceremony.ErrShares, bundle.ErrReplacement, bundle.ErrQuorum, bundle.ErrOrder, bundle.ErrLayout, serve.ErrLayouts},
		exitPassphrase: {serve.ErrPassphrase, ceremony.ErrPassphrase},
	} {
		for _, cause := range causes {
			if errors.Is(err, cause) {
				return code
			}
		}
	}
	return exitFailed
}

// dataDefault is where a person's data lies (XDG Base Directory).
func dataDefault() string {
	if data := os.Getenv("XDG_DATA_HOME"); data != "" {
		return data + "/strongroomd"
	}
	if home, err := os.UserHomeDir(); err == nil {
		return home + "/.local/share/strongroomd"
	}
	return "strongroomd-data"
}
