package backup

import (
	"encoding/binary"
	"strconv"

	"strongroom/backup/pack"
	"strongroom/backup/scan"
)

// fileID is one file, whatever its names.
type fileID struct{ device, inode uint64 }

// oneOfEach leaves the first name of each file that has several (hard links)
// in items, which are in the order of a snapshot; the others go with it.
func (b *run) oneOfEach(items []*item) (out []*item) {
	first := map[fileID]*item{}
	for _, it := range items {
		if it.Links > 1 && it.Inode != 0 {
			key := fileID{it.Device, it.Inode}
			if f := first[key]; f != nil {
				f.names = append(f.names, it)
				continue
			}
			first[key] = it
		}
		out = append(out, it)
	}
	return out
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
