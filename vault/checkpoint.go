package vault

import (
	"bytes"
	"io"

	"strongroom/protocol/wire"
	"strongroom/vault/hal"
	"strongroom/vault/internal/ledger"
	"strongroom/vault/internal/record"
	"strongroom/vault/internal/tree"
)

// When a checkpoint begins.
const (
	changedMax     = 2 << 10 // records changed since the last one
	entriesMax     = 8 << 10 // entries since the last one: what a start reads again
	saveMillis     = 60_000  // after the last one, if there is anything to save
	recordSaltSize = 32
)

// saving is a checkpoint on its way: changed records are sealed (a job), the
// tree's nodes towards them are there, all pages are given out, the host keeps
// them. One is on its way at a time.
type saving struct {
	checkpoint ledger.Checkpoint // without its root until the pages are given out
	epochs     ledger.Epochs     // the newest seals it
	records    []*held
	leaves     []tree.Leaf
	pages      []wire.Page
	missing    int // paths to which nodes are on their way
	given      bool
	state      *groupState // of an island of several boxes
}

// save begins a checkpoint when it is time.
func (v *Vault) save() {
	switch {
	case v.saving != nil || !v.alerts.settled():
	case v.group != nil && !v.group.savesAlone(v):
	case v.group != nil || v.wantsSave() || v.turn.wantsCheckpoint(v):
		v.beginSave()
	}
}

// wantsSave tells whether there is enough to save.
func (v *Vault) wantsSave() bool {
	news := v.head.Index - v.saved.Head.Index
	return len(v.changed) >= changedMax || news >= entriesMax ||
		(news > 0 || len(v.changed) > 0) && v.ownMillis >= v.savedMillis+saveMillis
}

// beginSave freezes the records as the committed head left them.
func (v *Vault) beginSave() {
	s := &saving{epochs: v.epochs, records: v.changed}
	s.checkpoint = ledger.Checkpoint{Serial: v.nextSerial(), Head: v.head, EpochMillis: v.saved.EpochMillis}
	if v.group != nil {
		v.group.enterCheckpoint(v, s)
	} else {
		s.checkpoint.Homes = v.layouts.kept
	}
	v.turn.enterCheckpoint(v, s)
	v.saving, v.changed = s, nil
	job := saveJob{fleet: v.fleet.ID, generation: v.generation, hasher: v.hasher, epochs: s.epochs}
	for _, h := range s.records {
		h.changed, h.saving = false, true
		job.records = append(job.records, savedRecord{h.path, h.account, h.record})
	}
	if err := job.drawSalts(v.rand); err != nil {
		v.fail(err)
		return
	}
	v.out.Jobs = append(v.out.Jobs, job)
}

// nextSerial numbers what the host keeps.
func (v *Vault) nextSerial() uint64 {
	v.serial = max(v.serial, v.saved.Serial) + 1
	return v.serial
}

// saveJob seals the records of a checkpoint.
type saveJob struct {
	fleet      wire.FleetID
	generation uint32
	hasher     *tree.Hasher
	epochs     ledger.Epochs
	salts      []byte
	records    []savedRecord
}

func (j *saveJob) drawSalts(rand io.Reader) error {
	j.salts = make([]byte, recordSaltSize*len(j.records))
	_, err := io.ReadFull(rand, j.salts)
	return err
}

type savedRecord struct {
	path    tree.Path
	account string
	record  record.Record
}

type sealedRecords struct {
	leaves []tree.Leaf
	pages  []wire.Page
	err    error
}

func (j saveJob) Run(hal.HAL) Result { return j.seal() }

func (j saveJob) seal() (s sealedRecords) {
	for i, r := range j.records {
		plaintext, err := r.record.Encode(r.account)
		if err != nil {
			return sealedRecords{err: err}
		}
		salt := bytes.NewReader(j.salts[i*recordSaltSize:][:recordSaltSize])
		sealed, err := j.epochs.Seal(salt, recordLabel(j.fleet, r.path), nil, plaintext)
		if err != nil {
			return sealedRecords{err: err}
		}
		s.leaves = append(s.leaves, tree.Leaf{Path: r.path, MAC: j.hasher.MAC(r.path, plaintext)})
		s.pages = append(s.pages, wire.Page{Key: recordKey(j.generation, r.path), Bytes: sealed})
	}
	return s
}

func (s sealedRecords) enter(v *Vault) {
	if s.err != nil {
		v.fail(s.err)
		return
	}
	v.saving.leaves, v.saving.pages = s.leaves, s.pages
	v.reach()
}

// reach asks for the nodes towards the changed records that were given back
// meanwhile, and goes on when all are there.
func (v *Vault) reach() {
	s := v.saving
	for _, l := range s.leaves {
		if sight, _ := v.tree.Find(l.Path); sight == tree.Missing {
			s.missing++
			v.read(l.Path, false, func([]byte) {
				if s.missing--; s.missing == 0 {
					v.reach()
				}
			})
		}
	}
	if s.missing == 0 {
		v.give()
	}
}

// give enters the records into the tree and gives all pages out.
func (v *Vault) give() {
	s := v.saving
	for _, p := range v.tree.Apply(s.leaves) {
		s.pages = append(s.pages, wire.Page{Key: nodeKey(v.generation, p.Key), Bytes: p.Bytes})
	}
	s.checkpoint.Root = v.tree.Root()
	s.checkpoint.Due = v.dueList()
	sealed, err := s.checkpoint.Seal(v.rand, v.fleet.ID, s.epochs)
	if err != nil {
		v.fail(err)
		return
	}
	s.given = true
	v.out.Pages = append(s.pages, wire.Page{Key: checkpointKey(), Bytes: sealed})
	v.out.Checkpoint = &wire.Checkpoint{Serial: s.checkpoint.Serial, Index: s.checkpoint.Head.Index}
	s.pages = nil
}

// kept takes the host's word that it keeps the checkpoint. A host that says so
// too early, and then loses it, has a box that does not open: the log that it
// dropped would be needed.
func (v *Vault) kept(serial uint64) {
	s := v.saving
	if v.group != nil && v.group.keptPart(v, serial) {
		return
	}
	if s == nil || !s.given || serial < s.checkpoint.Serial {
		return
	}
	for _, h := range s.records {
		h.saving, h.epoch = false, s.epochs.Number()
	}
	v.tree.Kept()
	v.saving, v.saved, v.savedMillis = nil, s.checkpoint, v.ownMillis
	v.turn.keptCheckpoint(v, s)
	if v.group != nil {
		v.group.keptCheckpoint(v, s)
	}
}
