package vault

import (
	"strongroom/protocol/bundle"
	"strongroom/protocol/wire"
	"strongroom/vault/hal"
	"strongroom/vault/internal/ledger"
	"strongroom/vault/internal/record"
)

const layoutTicks = 200 // a layout that is not through by then is proposed again

// layouts is what the box knows of the fleet's islands (spec/layout.md).
type layouts struct {
	pin     bundle.Pin // of this island
	founder bundle.Pin
	homes   *bundle.Homes // what the island agreed on, as applied
	kept    []byte        // the same, encoded; nil for nothing but layout 0
	saved   []byte        // kept, as the newest checkpoint of an island of several has it

	shown    *wire.Layouts // by the host, to be checked
	checking bool
	newer    []byte // checked, for the island to agree on; nil for none
	notAgain uint64 // until that tick it is not proposed again
}

func newLayouts(fleet *bundle.Fleet, document []byte) layouts {
	l := layouts{pin: bundle.PinOf(document), founder: fleet.Founder}
	if l.founder == (bundle.Pin{}) {
		l.founder = l.pin
	}
	l.homes = bundle.NewHomes(fleet.ID, l.founder, nil)
	return l
}

// policyOf are the rules of one account: those of the fleet, and where it
// belongs.
func (v *Vault) policyOf(account string) record.Policy {
	p, l := v.policy, &v.layouts
	if l.kept == nil && l.founder == l.pin {
		return p // the fleet has one island
	}
	home := l.homes.Home(account)
	p.Place = record.Place{Layout: l.homes.Newest(), Home: home, Away: home != l.pin, Latest: l.homes.Latest(account, l.pin), Later: l.founder != l.pin}
	return p
}

// show takes the host's word of the fleet's layouts, to be checked.
func (l *layouts) show(v *Vault, shown *wire.Layouts) {
	if shown != nil {
		l.shown = shown
	}
	if l.shown == nil || l.checking || uint64(len(l.shown.Layouts)) <= l.homes.Newest() {
		return
	}
	list, known, founder := *l.shown, l.homes, l.founder
	l.checking, l.shown = true, nil
	v.out.Jobs = append(v.out.Jobs, task(func(hal.HAL) result {
		// Layouts of this fleet's founder only, and those only that go on from
		// what the island knows.
		var newer []byte
		if checked, err := bundle.CheckLayouts(list); err == nil && checked.Founder() == founder && checked.Follows(known) {
			newer, _ = checked.Encode() // nil beside an error
		}
		return func(*Vault) {
			if l.checking = false; newer != nil {
				l.newer, l.notAgain = newer, 0
			}
		}
	}))
}

// propose has the island agree on what the host showed to this box.
func (l *layouts) propose(v *Vault) {
	g := v.group
	switch {
	case l.newer == nil:
	case g == nil:
		plaintext, err := record.Command{Homes: l.newer}.Encode()
		if err != nil {
			v.fail(err)
			return
		}
		newer := l.newer
		l.newer = nil
		var heads []ledger.Head
		heads = v.write([][]byte{plaintext}, func() {
			v.head = heads[0]
			l.learn(v, newer)
		})
	case g.settledLead() && g.ticks >= l.notAgain:
		l.notAgain = g.ticks + layoutTicks
		g.must(v, g.raft.Propose(stamp{v.boot, 0, v.nowMillis, stampLayout}.append(l.newer)))
	}
}

// learn applies what the island agreed on. What does not go on from what it
// knows, or is no newer, changes nothing: an island never knows less than it did.
func (l *layouts) learn(v *Vault, agreed []byte) {
	homes, err := bundle.DecodeHomes(agreed)
	if err != nil {
		v.fail(err)
		return
	}
	if homes.Follows(l.homes) && homes.Newest() > l.homes.Newest() {
		l.homes, l.kept = homes, agreed
	}
	if len(l.newer) <= len(l.kept) { // each layout is longer than the one before
		l.newer = nil
	}
}

// restore makes what a checkpoint, or another box's tree, was made under what
// this box knows.
func (l *layouts) restore(kept []byte) error {
	l.saved, l.kept, l.homes = kept, kept, bundle.NewHomes(l.homes.Fleet, l.founder, nil)
	if len(kept) == 0 {
		return nil
	}
	var err error
	l.homes, err = bundle.DecodeHomes(kept)
	return err
}
