package pack

import (
	"bytes"
	"fmt"

	"strongroom/backup/seal"
)

// sealPack makes the whole pack of a draft, in the draft's own memory, and
// opens every part of it again by the reader's code before it gives it out.
func (r *Repo) sealPack(d *draft) ([]byte, error) {
	name := d.name.under(prefixPack)
	p := r.keys.NewPack(name)
	copy(d.buf, p.Frame())
	at := seal.FrameBytes
	for _, s := range d.segments {
		end := at + int(s.Sealed)
		stored := d.buf[at : end-seal.TagBytes]
		if _, err := p.Seal(stored[:0], uint32(at), seal.SegmentPlace(s.Kind, s.ID), stored); err != nil {
			return nil, err
		}
		at = end
	}
	tab := encode(table{Version: tableVersion, Segments: d.segments})
	tail := len(tab) + seal.TagBytes + trailerBytes
	size := seal.Padme(at + partBytesMin + tail)
	t := trailer{table: uint32(size - tail), tableBytes: uint32(len(tab) + seal.TagBytes), segments: uint32(len(d.segments)), pack: uint32(size)}
	pad := make([]byte, size-tail-at-partBytesMin)
	out := d.buf[:at]
	for _, part := range []struct {
		part  seal.Part
		plain []byte
	}{{seal.PartPadding, pad}, {seal.PartTable, tab}, {seal.PartTrailer, t.bytes()}} {
		var err error
		if out, err = p.Seal(out, uint32(len(out)), seal.PartPlace(part.part), part.plain); err != nil {
			return nil, err
		}
	}
	d.salt = p.Salt()
	opened, damage := r.openWhole(name, out)
	if len(damage) != 0 || len(opened) != len(d.segments) || !bytes.Equal(encode(opened), encode(d.segments)) {
		return nil, ErrSelfCheck
	}
	return out, nil
}

// openWhole opens every part of a whole pack by the pack alone.
func (r *Repo) openWhole(name string, b []byte) ([]segment, []*Damage) {
	p, err := r.keys.OpenPack(name, b)
	if err != nil {
		return nil, []*Damage{damaged(name, "frame: ", err)}
	}
	segments, t, err := openTail(p, b, 0, int64(len(b)))
	if err != nil {
		return nil, []*Damage{damaged(name, "", err)}
	}
	damage := r.openSegments(p, name, segments, b)
	return segments, append(damage, openPadding(p, name, segments, t, b)...)
}

// checkPack opens every part of a whole pack by what the index tells of it,
// so that a damaged frame or table hides no damaged segment.
func (r *Repo) checkPack(info *packInfo, segments []segment, b []byte) (damage []*Damage) {
	name := info.name.under(prefixPack)
	if int64(len(b)) != info.size {
		return []*Damage{{Object: name, What: "cut", Lost: ids(segments)}}
	}
	p := r.keys.KnownPack(name, info.salt)
	damage = r.openSegments(p, name, segments, b)
	if own, err := r.keys.OpenPack(name, b); err != nil || own.Salt() != info.salt {
		damage = append(damage, &Damage{Object: name, What: "frame: " + seal.ErrOpen.Error()})
	}
	table, t, err := openTail(p, b, 0, int64(len(b)))
	switch {
	case err != nil:
		damage = append(damage, damaged(name, "", err))
	case !bytes.Equal(encode(table), encode(segments)):
		damage = append(damage, &Damage{Object: name, What: "its table is not what the index says"})
	default:
		damage = append(damage, openPadding(p, name, segments, t, b)...)
	}
	return damage
}

// openSegments opens every segment; those that do not open are lost.
func (r *Repo) openSegments(p *seal.Pack, name string, segments []segment, b []byte) []*Damage {
	var damage []*Damage
	at := seal.FrameBytes
	for _, s := range segments {
		end := at + int(s.Sealed)
		if err := r.openSegment(p, uint32(at), s, b[at:end], nil); err != nil {
			damage = append(damage, &Damage{Object: name, What: "segment: " + err.Error(), Lost: []ID{s.ID}})
		}
		at = end
	}
	return mergeDamage(damage)
}

// openPadding opens what lies between the segments and the table: zeros, so
// that no byte of a pack is free to be changed.
func openPadding(p *seal.Pack, name string, segments []segment, t trailer, b []byte) []*Damage {
	at, err := endOf(segments)
	if err == nil {
		var pad []byte
		pad, err = p.Open(nil, uint32(at), seal.PartPlace(seal.PartPadding), b[at:t.table])
		if err == nil && allZero(pad) {
			return nil
		}
	}
	return []*Damage{{Object: name, What: "padding: " + seal.ErrOpen.Error()}}
}

// openTail opens trailer and table from the bytes of a pack that begin at
// offset start and end with the pack.
func openTail(p *seal.Pack, b []byte, start, packBytes int64) ([]segment, trailer, error) {
	at := packBytes - trailerBytes
	if at-start < 0 {
		return nil, trailer{}, fmt.Errorf("trailer: %w", seal.ErrOpen)
	}
	body, err := p.Open(nil, uint32(at), seal.PartPlace(seal.PartTrailer), b[at-start:])
	if err != nil {
		return nil, trailer{}, fmt.Errorf("trailer: %w", err)
	}
	t, err := parseTrailer(body, packBytes)
	if err != nil || int64(t.table) < start {
		return nil, t, err
	}
	tab, err := p.Open(nil, t.table, seal.PartPlace(seal.PartTable), b[int64(t.table)-start:at-start])
	if err != nil {
		return nil, t, fmt.Errorf("table: %w", err)
	}
	segments, err := parseTable(tab, t)
	return segments, t, err
}

// openSegment opens one sealed segment, unpacks it, computes its id again
// and gives the plaintext to use, which may keep it only while it runs.
func (r *Repo) openSegment(p *seal.Pack, at uint32, s segment, sealed []byte, use func([]byte) error) error {
	packed, unpacked := storedScratch.Get().(*scratch), plainScratch.Get().(*scratch)
	defer storedScratch.Put(packed)
	defer plainScratch.Put(unpacked)
	stored, err := p.Open(packed.bytes[:0], at, seal.SegmentPlace(s.Kind, s.ID), sealed)
	if err != nil {
		return err
	}
	plain, err := r.codec.Plain(unpacked.bytes[:0], stored, int(s.Raw))
	if err != nil {
		return err
	}
	if r.keys.SegmentID(s.Kind, plain) != s.ID {
		return seal.ErrOpen
	}
	if use == nil {
		return nil
	}
	return use(plain)
}

func allZero(b []byte) bool {
	for _, x := range b {
		if x != 0 {
			return false
		}
	}
	return true
}
