package backup

import (
	"encoding/binary"
	"strconv"

	"strongroom/backup/pack"
	"strongroom/backup/scan"
)

// fileID is one file, whatever its names.
type fileID struct{ device, inode uint64 }

// links knows the files that have several names (hard links), and no others.
type links struct {
	names map[fileID]uint32 // how many were found and are still to come
	first map[fileID]*link  // of those with more than one, one of which came
}

// link is a file with several names. Its first name is backed up, the others
// go with it.
type link struct {
	same uint64 // pack.Entry.Same
	done bool   // the first name is in the list, with this:
	ids  []pack.ID
	stat scan.Stat
	size int64

	attributes []pack.Attribute
}

func newLinks() *links {
	return &links{names: map[fileID]uint32{}, first: map[fileID]*link{}}
}

// count counts a name, while the walk goes on.
func (l *links) count(it *item) {
	if it.Links > 1 && it.Inode != 0 {
		l.names[fileID{it.Device, it.Inode}]++
	}
}

// link tells a name whose file it is, if there are several; true if it is the
// first, or the only one. Names come in the order of a snapshot.
func (b *run) link(it *item) (first bool) {
	key := fileID{it.Device, it.Inode}
	left := b.links.names[key]
	if it.Links <= 1 || left == 0 {
		return true
	}
	it.link = b.links.first[key]
	if first = it.link == nil; first {
		if left == 1 {
			return true
		}
		it.link = &link{same: b.sameNumber(it)}
		b.links.first[key] = it.link
	}
	if left--; left == 0 {
		delete(b.links.names, key)
		delete(b.links.first, key)
		return first
	}
	b.links.names[key] = left
	return first
}

// sameNumber is what the entries of one file with several names have in
// common. It comes from the first of them, so that a day's new links change no
// other entry.
func (b *run) sameNumber(first *item) uint64 {
	id := b.r.pack.SegmentID(0, []byte(strconv.FormatUint(uint64(first.root), 10)+"\x00"+first.Rel))
	return max(1, binary.BigEndian.Uint64(id[:8]))
}

// attributes gives what is kept of a file's extended attributes.
func (b *run) attributes(full string) (out []pack.Attribute) {
	all, err := scan.Attributes(full)
	if err != nil {
		b.warn(full, err.Error())
	}
	for _, a := range all {
		out = append(out, pack.Attribute{Name: a.Name, Value: a.Value})
	}
	return out
}
