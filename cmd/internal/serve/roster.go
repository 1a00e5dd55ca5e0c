package serve

import (
	"bytes"
	"fmt"
	"slices"

	"strongroom/protocol/bundle"
	"strongroom/protocol/wire"
)

// roster is an island.json that fits its fleet's document. It is not changed:
// another one takes its place.
type roster struct {
	*IslandFile
	boxes []bundle.Box // in the order of the document, after the certificates
}

// rosterOf refuses a file that is of another fleet, whose certificates do not
// hold, or that names other boxes than there are after them. ErrIslandFile.
func rosterOf(fleet *bundle.Fleet, f *IslandFile) (*roster, error) {
	id, err := f.fleet()
	if err != nil {
		return nil, err
	}
	if id != fleet.ID {
		return nil, fmt.Errorf("%w: it is of the fleet %x, and the document beside it of %x", ErrIslandFile, id, fleet.ID)
	}
	boxes, err := fleet.BoxesAfterEncoded(f.Replacements)
	if err != nil {
		return nil, fmt.Errorf("%w: \"replacements\": %w", ErrIslandFile, err)
	}
	if len(boxes) != len(f.Boxes) {
		return nil, fmt.Errorf("%w: it names %d boxes, and the fleet's document %d", ErrIslandFile, len(f.Boxes), len(boxes))
	}
	for _, b := range boxes {
		if _, found := f.box(b.ID()); !found {
			return nil, fmt.Errorf("%w: it lacks box %s of the fleet's document and certificates", ErrIslandFile, b.ID())
		}
	}
	return &roster{f, boxes}, nil
}

// Matches refuses what rosterOf does. Its error is ErrIslandFile.
func (f *IslandFile) Matches(fleet *bundle.Fleet) error {
	_, err := rosterOf(fleet, f)
	return err
}

// hsm is what document and certificates say of a box's HSM.
func (r *roster) hsm(box wire.BoxID) (kind, rollback string) {
	for _, b := range r.boxes {
		if b.ID() == box {
			return b.HSM, b.Rollback
		}
	}
	return "", ""
}

// after is this box's file once another box has taken a lost one's place, as
// that box's own file tells of it. Where a box is known here already, its
// address here stays: but that of the newest box, which may have been told
// wrong. Error: ErrIslandFile.
func (r *roster) after(fleet *bundle.Fleet, newer *IslandFile) (*roster, error) {
	told, err := rosterOf(fleet, newer)
	if err != nil {
		return nil, err
	}
	if len(told.Replacements) == 0 {
		return nil, fmt.Errorf("%w: it has no certificate of a box in the place of another", ErrIslandFile)
	}
	if !isPrefix(r.Replacements, told.Replacements) {
		return nil, fmt.Errorf("%w: this node knows certificates that it does not have. Give the file of the newest box", ErrIslandFile)
	}
	if slices.IndexFunc(told.boxes, func(b bundle.Box) bool { return b.ID() == r.own() }) < 0 {
		return nil, fmt.Errorf("%w: it is this very box whose place another one took. Turn it off", ErrIslandFile)
	}
	last, _ := bundle.DecodeReplacement(told.Replacements[len(told.Replacements)-1]) // rosterOf saw to it
	next := *r.IslandFile
	next.Replacements, next.Boxes = told.Replacements, nil
	for _, b := range told.boxes {
		entry, known := r.box(b.ID())
		if !known || b.ID() == last.New.ID() && b.ID() != r.own() {
			entry, _ = told.box(b.ID())
		}
		next.Boxes = append(next.Boxes, entry)
	}
	if err := next.validate(); err != nil {
		return nil, err
	}
	return &roster{&next, told.boxes}, nil
}

func isPrefix(short, long [][]byte) bool {
	return len(short) <= len(long) && slices.EqualFunc(short, long[:len(short)], bytes.Equal)
}
