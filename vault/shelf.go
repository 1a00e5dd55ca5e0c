package vault

import (
	"crypto/hmac"
	"errors"
	"fmt"

	"strongroom/vault/internal/record"
	"strongroom/vault/internal/tree"
)

// What the box has in memory of the record tree, however large it is.
const (
	nodesMax = 8 << 10 // nodes held between checkpoints
	heldMax  = 4 << 10 // records held that nobody needs
)

// ErrRecord: what the host shows for a record is not the newest that the box
// gave it. It is wrapped with the record's path.
var ErrRecord = errors.New("vault: a record was changed, swapped, or put back from an earlier time")

// held is an account's record in memory.
type held struct {
	path    tree.Path
	account string
	record  record.Record
	epoch   uint64 // that its page is sealed in; 0: it has no page
	pins    int    // who needs it: requests on their way, entries not yet committed
	changed bool   // since the last checkpoint began
	saving  bool   // in a checkpoint that is not kept yet
	used    bool   // since the clock last came by
}

// loading is a record on its way from the host.
type loading struct {
	account string // "" while only its path is known
	then    []func(*held)
}

// hold gets an account's record from the host, unless the box has it, pins it
// and goes on with it: in this Step or in a later one.
func (v *Vault) hold(account string, then func(*held)) {
	v.holdPath(v.hasher.Path(account), account, then)
}

func (v *Vault) holdPath(p tree.Path, account string, then func(*held)) {
	if h := v.held[p]; h != nil {
		h.pins++
		h.used = true
		then(h)
		return
	}
	l := v.loading[p]
	if l == nil {
		l = new(loading)
		v.loading[p] = l
		defer v.load(p)
	}
	if account != "" {
		l.account = account
	}
	l.then = append(l.then, then)
}

// unpin undoes one hold.
func (v *Vault) unpin(h *held) { h.pins-- }

// load asks the host for what the box lacks to know the record at p.
func (v *Vault) load(p tree.Path) {
	if sight, _ := v.tree.Find(p); sight == tree.Absent {
		v.arrive(p, &held{})
		return
	}
	v.read(p, true, func(page []byte) {
		switch sight, mac := v.tree.Find(p); sight {
		case tree.Missing:
			v.load(p) // deeper than most
		case tree.Absent:
			v.arrive(p, &held{})
		default:
			h, err := v.openRecord(p, mac, page)
			if err != nil {
				v.fail(err)
				return
			}
			v.arrive(p, h)
		}
	})
}

// openRecord takes a record's page only as the newest at its path.
//
// The attacks that it stops:
//  1. The host gives the page of another account, or of this one from before
//     a guess: its plaintext has not the MAC that the tree proves for the path.
//  2. It says that there is no such page: so does nobody whose tree has the leaf.
func (v *Vault) openRecord(p tree.Path, mac tree.MAC, page []byte) (*held, error) {
	plaintext, epoch, err := v.openPage(p, mac, page)
	if err != nil {
		return nil, err
	}
	account, r, err := record.Decode(plaintext)
	if err != nil {
		return nil, fmt.Errorf("%w: record %x", err, p)
	}
	return &held{account: account, record: r, epoch: epoch}, nil
}

func (v *Vault) openPage(p tree.Path, mac tree.MAC, page []byte) (plaintext []byte, epoch uint64, err error) {
	plaintext, epoch, err = v.epochs.Open(recordLabel(v.fleet.ID, p), nil, page)
	if err != nil {
		return nil, 0, fmt.Errorf("%w: record %x: %w", ErrRecord, p, err)
	}
	is := v.hasher.MAC(p, plaintext)
	if !hmac.Equal(is[:], mac[:]) {
		return nil, 0, fmt.Errorf("%w: record %x is not the newest", ErrRecord, p)
	}
	return plaintext, epoch, nil
}

// arrive shelves a record and lets everybody go on who waits for it. Who came
// by a path alone, to a record that does not exist, has nothing to do there.
func (v *Vault) arrive(p tree.Path, h *held) {
	l := v.loading[p]
	delete(v.loading, p)
	if h.account == "" {
		if h.account = l.account; h.account == "" {
			return
		}
	}
	h.path = p
	v.held[p] = h
	v.clock = append(v.clock, h)
	v.remind(h)
	h.pins += len(l.then)
	for _, then := range l.then {
		then(h)
	}
}

// touch has the record in the next checkpoint.
func (v *Vault) touch(h *held) {
	if !h.changed {
		h.changed = true
		v.changed = append(v.changed, h)
	}
}

// shrink gives back what nobody needs: records by the clock algorithm
// (Corbató 1968), in the same order for the same inputs.
func (v *Vault) shrink() {
	if v.saving == nil {
		v.tree.Shrink(nodesMax)
	}
	for n := len(v.clock); n > 0 && len(v.held) > heldMax; n-- {
		h := v.clock[0]
		v.clock = v.clock[1:]
		if h.pins > 0 || h.changed || h.saving || h.used {
			h.used = false
			v.clock = append(v.clock, h)
			continue
		}
		delete(v.held, h.path)
	}
}
