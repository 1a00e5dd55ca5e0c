package main

import (
	"fmt"
	"os"
	"text/tabwriter"

	"strongroom/cmd/internal/ceremony"
	"strongroom/cmd/internal/serve"
	"strongroom/protocol/bundle"
)

type layoutCommand struct {
	New  newLayoutCommand  `cmd:"" help:"Write the fleet's next layout, for the founder's custodians to sign."`
	Show showLayoutCommand `cmd:"" help:"Show the fleet's islands and layouts (also while serve runs)."`
	Add  addLayoutCommand  `cmd:"" help:"Check a signed layout and put it into a box's data folder (also while serve runs)."`
}

type newLayoutCommand struct {
	dataFlag
	Add      []string `help:"Document of an island that joins (vault/fleet.cbor of any of its boxes); may be repeated." type:"existingfile" placeholder:"FILE"`
	LeaveOut []string `help:"Name of an island that gets no new accounts, and whose accounts leave it; may be repeated." placeholder:"ISLAND"`
	Out      string   `help:"Where the layout goes (layout-NUMBER.json unless given)." type:"path" placeholder:"FILE"`
}

// Help is shown by layout new --help.
func (*newLayoutCommand) Help() string {
	return `A layout says which islands a fleet has; each account has its home on one of them. Adding the nth island moves one account in n there, each at its owner's next success; no attempt is given twice on the way, and an account that does not move stays usable where it is.

The order: make the island (strongroomd ceremony, its plan names the founder's document), start it, lead the relays to it (strongroomd relay --box-url ISLAND=URL), then add the layout to every box of every island.

Example:

  strongroomd layout new --data /var/lib/strongroom --add dogwood/vault/fleet.cbor
  strongroomd custodian sign layout-1.json --key anna.key
  strongroomd custodian sign layout-1.json --key ben.key
  strongroomd layout add layout-1.json --data /var/lib/strongroom`
}

func (c *newLayoutCommand) Run(s streams) error {
	known, err := serve.ReadLayouts(c.Data)
	if err != nil {
		return err
	}
	var documents [][]byte
	for _, path := range c.Add {
		document, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		documents = append(documents, document)
	}
	l, err := ceremony.NewLayout(known, documents, c.LeaveOut)
	if err != nil {
		return err
	}
	text, err := l.Encode()
	if err != nil {
		return err
	}
	if c.Out == "" {
		c.Out = fmt.Sprintf("layout-%d.json", l.Number)
	}
	if err := writeNew(c.Out, text, 0o644); err != nil {
		return err
	}
	if err := showLayout(s, l); err != nil {
		return err
	}
	founder, _ := known.Island(known.Founder())
	fmt.Fprintf(s.out, "\nNext, %d of the founder's custodians, each:\n\n  strongroomd custodian sign %s --key FILE\n\nThen, for every box of every island:\n\n  strongroomd layout add %s --data FOLDER\n", founder.Quorum, c.Out, c.Out)
	return nil
}

// showLayout tells custodians what they would sign.
func showLayout(s streams, l *ceremony.Layout) error {
	known, err := l.Known()
	if err != nil {
		return err
	}
	fmt.Fprintf(s.out, "Layout %d of the fleet %s\n\n", l.Number, known.Founder())
	next := map[bundle.Pin]bool{}
	for _, text := range l.Next {
		pin, err := bundle.ParsePin(text)
		if err != nil {
			return err
		}
		next[pin] = true
	}
	return showIslands(s, known, next)
}

// showIslands marks those that come and go with the next layout; nil: there is
// none.
func showIslands(s streams, known *serve.Layouts, next map[bundle.Pin]bool) error {
	now := map[bundle.Pin]bool{}
	for _, pin := range known.Pins(known.Newest()) {
		now[pin] = true
	}
	w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "island\tpin\tboxes\tHSM\t\n")
	row := func(pin bundle.Pin) {
		f, _ := known.Island(pin)
		what := map[[2]bool]string{{true, true}: "stays", {false, true}: "IS ADDED", {true, false}: "IS LEFT OUT", {false, false}: "stays out"}[[2]bool{now[pin], next[pin]}]
		if next == nil {
			what = map[bool]string{true: "", false: "left out"}[now[pin]]
		}
		if pin == known.Founder() {
			what += " (founder)"
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\n", pin.IslandName(), pin, max(1, len(f.Boxes)), f.HSM, what)
	}
	seen := map[bundle.Pin]bool{}
	for _, home := range known.Homes.Islands {
		row(home.Pin)
		seen[home.Pin] = true
	}
	for pin := range next {
		if !seen[pin] {
			row(pin)
		}
	}
	return w.Flush()
}

type showLayoutCommand struct {
	dataFlag
	File string `arg:"" optional:"" help:"A layout's file, instead of what a data folder has." type:"existingfile"`
	JSON bool   `name:"json" help:"For programs."`
}

func (c *showLayoutCommand) Run(s streams) error {
	if c.File != "" {
		text, err := os.ReadFile(c.File)
		if err != nil {
			return err
		}
		l, founder, err := ceremony.ParseLayout(text)
		if err != nil {
			return err
		}
		if c.JSON {
			return writeJSON(s, l)
		}
		if err := showLayout(s, l); err != nil {
			return err
		}
		_, err = fmt.Fprintf(s.out, "\nSigned by %d of %d custodians; %d must.\n", len(l.Signatures), len(founder.Custodians), founder.Quorum)
		return err
	}
	known, err := serve.ReadLayouts(c.Data)
	if err != nil {
		return err
	}
	if c.JSON {
		return writeJSON(s, serve.IslandsOf(known, bundle.Pin{}))
	}
	fmt.Fprintf(s.out, "The newest layout is number %d.\n\n", known.Newest())
	return showIslands(s, known, nil)
}

type addLayoutCommand struct {
	dataFlag
	File string `arg:"" help:"The layout, signed." type:"existingfile"`
}

// Help is shown by layout add --help.
func (*addLayoutCommand) Help() string {
	return `Checks the documents, the order and the signatures, and puts the layout into the data folder, where a vault that serves finds it within a second. It can not be taken back; adding the same one again does nothing. Do so for every box of every island, the new one too: while one was not told, accounts move later, and nothing else happens.

Example:

  strongroomd layout add layout-1.json --data /var/lib/strongroom`
}

func (c *addLayoutCommand) Run(s streams) error {
	text, err := os.ReadFile(c.File)
	if err != nil {
		return err
	}
	l, _, err := ceremony.ParseLayout(text)
	if err != nil {
		return fmt.Errorf("%s: %w. Nothing was changed", c.File, err)
	}
	shown, err := l.Signed()
	if err != nil {
		return fmt.Errorf("%s: %w. Nothing was changed", c.File, err)
	}
	known, err := serve.InstallLayouts(c.Data, shown)
	if err != nil {
		return err
	}
	fmt.Fprintf(s.out, "Layout %d is in %s. A vault that serves from there takes it within a second.\n\n", known.Newest(), c.Data)
	return showIslands(s, known, nil)
}
