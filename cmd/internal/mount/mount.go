// Package mount shows backups as a read-only file system: by machine and time,
// with `latest` in each. Linux only, by FUSE.
package mount

import (
	"errors"
	"fmt"
	"strings"

	"strongroom/backup"
)

// ErrMount: backups can not be mounted on this system, or not at this place.
var ErrMount = errors.New("can not mount")

// cacheBytes is how much of decrypted files is kept in memory.
const cacheBytes = 48 << 20

// shelf is the snapshots of one machine under the names of their folders.
type shelf struct {
	name    string
	folders []volume // oldest first
}

// volume is one snapshot.
type volume struct {
	name string
	info backup.SnapshotInfo
}

const (
	timeForm   = "2006-01-02T15-04-05"
	latestName = "latest"
)

// shelves sorts snapshots by machine. Machines of one name are told apart by
// the beginning of their number, snapshots of one second by their own name.
func shelves(all []backup.SnapshotInfo) (out []shelf) {
	hosts := map[string]map[string]bool{} // machines of each name
	for _, s := range all {
		if hosts[s.Host] == nil {
			hosts[s.Host] = map[string]bool{}
		}
		hosts[s.Host][s.Device] = true
	}
	at, used := map[string]int{}, map[string]bool{}
	for _, s := range all {
		i, known := at[s.Device+"\x00"+s.Host]
		if !known {
			name := folderName(s.Host)
			if len(hosts[s.Host]) > 1 || used[name] {
				name = fmt.Sprintf("%s-%.8s", name, s.Device)
			}
			used[name] = true
			i = len(out)
			at[s.Device+"\x00"+s.Host] = i
			out = append(out, shelf{name: name})
		}
		v := volume{name: s.Time.Local().Format(timeForm), info: s}
		for _, other := range out[i].folders {
			if other.name == v.name {
				v.name += "-" + s.ID
				break
			}
		}
		out[i].folders = append(out[i].folders, v)
	}
	return out
}

// folderName is a machine's name as a folder may be called. Attack: a machine
// that calls itself "../../etc".
func folderName(host string) string {
	name := strings.Map(func(r rune) rune {
		if r == '/' || r == 0 {
			return '_'
		}
		return r
	}, host)
	if name == "" || name == "." || name == ".." || name == latestName || len(name) > 200 {
		return "machine"
	}
	return name
}
