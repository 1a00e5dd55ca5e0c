package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// secret protects every repository here: it holds generated data alone.
const secret = "the bench has nothing to hide"

// place is where one program works in one round.
type place struct {
	dir     string // its own: caches, settings
	cloud   string // the repository, and nothing else
	phone   string // the store to back up
	restore string // empty folder to restore into
}

// program is one backup program: the arguments of its steps. Each step is
// one process; prepare may be several and is not measured.
type program struct {
	name    string
	path    string
	version []string
	env     func(p place) []string
	prepare func(p place) [][]string
	backup  func(p place) []string
	restore func(p place) []string
	check   func(p place) []string
	list    func(p place) []string // may be nil, as those that follow
	diff    func(p place) []string // of the oldest snapshot and the newest
	forget  func(p place) []string // all but the newest
	prune   func(p place) []string
	phoneIn func(p place) string // where a restore puts the store
}

const ownName = "strongroom"

// programs gives strongroom first, then the peers.
func programs(strongroom string) []program {
	return []program{strongroomAt(strongroom), restic, borg, kopia}
}

func strongroomAt(path string) program {
	own := func(p place, args ...string) []string {
		return append([]string{"--data", filepath.Join(p.dir, "data"), "--json"}, args...)
	}
	return program{
		name: ownName, path: path,
		env: func(place) []string { return nil },
		prepare: func(p place) [][]string {
			return [][]string{own(p, "enable", "--by", "key", "--yes", "--repo", p.cloud)}
		},
		backup:  func(p place) []string { return own(p, "backup", p.phone) },
		restore: func(p place) []string { return own(p, "restore", "--to", p.restore) },
		check:   func(p place) []string { return own(p, "check") },
		list:    func(p place) []string { return own(p, "ls") },
		diff: func(p place) []string {
			return own(p, append([]string{"diff"}, ends(nil, `"event":"snapshot".*?"id":"([0-9a-f]+)"`, path, own(p, "snapshots")...)...)...)
		},
		forget:  func(p place) []string { return own(p, "forget", "--keep-last", "1") },
		prune:   func(p place) []string { return own(p, "prune", "--grace", "0s") },
		phoneIn: func(p place) string { return filepath.Join(p.restore, phoneName) },
	}
}

var restic = program{
	name: "restic", path: "restic", version: []string{"version"},
	env:     resticEnv,
	prepare: func(place) [][]string { return [][]string{{"init"}} },
	backup:  func(p place) []string { return []string{"backup", "--quiet", p.phone} },
	restore: func(p place) []string { return []string{"restore", "latest", "--quiet", "--target", p.restore} },
	check:   func(place) []string { return []string{"check", "--quiet", "--with-cache"} },
	list:    func(place) []string { return []string{"ls", "latest"} },
	diff: func(p place) []string {
		return append([]string{"diff"}, ends(resticEnv(p), `"short_id":"([0-9a-f]+)"`, "restic", "snapshots", "--json")...)
	},
	forget:  func(place) []string { return []string{"forget", "--quiet", "--keep-last", "1"} },
	prune:   func(place) []string { return []string{"prune", "--quiet"} },
	phoneIn: func(p place) string { return filepath.Join(p.restore, p.phone) },
}

func resticEnv(p place) []string {
	return []string{"RESTIC_REPOSITORY=" + p.cloud, "RESTIC_PASSWORD=" + secret, "RESTIC_CACHE_DIR=" + filepath.Join(p.dir, "cache")}
}

// ends are the first and the last snapshot that a program lists.
func ends(env []string, pattern, path string, args ...string) []string {
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), env...)
	out, _ := cmd.Output() // no name fails the step, which says why
	found := regexp.MustCompile(pattern).FindAllSubmatch(out, -1)
	if len(found) == 0 {
		return nil
	}
	return []string{string(found[0][1]), string(found[len(found)-1][1])}
}

// borg restores into the folder it runs in, and names snapshots.
var borg = program{
	name: "borg", path: "borg", version: []string{"--version"},
	env:     borgEnv,
	prepare: func(place) [][]string { return [][]string{{"init", "--encryption", "repokey"}} },
	backup:  func(p place) []string { return []string{"create", "--compression", "zstd,3", "::{now:%s.%f}", p.phone} },
	restore: func(p place) []string { return []string{"extract", "::" + lastArchive(p)} },
	check:   func(place) []string { return []string{"check"} },
	phoneIn: func(p place) string { return filepath.Join(p.restore, p.phone) },
}

func borgEnv(p place) []string {
	return []string{"BORG_REPO=" + p.cloud, "BORG_PASSPHRASE=" + secret, "BORG_BASE_DIR=" + p.dir}
}

// lastArchive asks borg for the newest snapshot's name.
func lastArchive(p place) string {
	cmd := exec.Command("borg", "list", "--short", "--last", "1")
	cmd.Env = append(os.Environ(), borgEnv(p)...)
	out, _ := cmd.Output() // an empty name fails the restore, which says why
	return strings.TrimSpace(string(out))
}

var kopia = program{
	name: "kopia", path: "kopia", version: []string{"--version"},
	env: func(p place) []string {
		return []string{"KOPIA_PASSWORD=" + secret, "KOPIA_CONFIG_PATH=" + filepath.Join(p.dir, "config"), "KOPIA_CACHE_DIRECTORY=" + filepath.Join(p.dir, "cache"),
			"KOPIA_LOG_DIR=" + filepath.Join(p.dir, "log"), "KOPIA_CHECK_FOR_UPDATES=false", "HOME=" + p.dir}
	},
	prepare: func(p place) [][]string {
		return [][]string{{"repository", "create", "filesystem", "--path", p.cloud}, {"policy", "set", "--global", "--compression", "zstd"}}
	},
	backup:  func(p place) []string { return []string{"snapshot", "create", "--no-progress", p.phone} },
	restore: func(p place) []string { return []string{"restore", "--no-progress", p.phone, p.restore} },
	check:   func(place) []string { return []string{"snapshot", "verify", "--no-progress"} },
	phoneIn: func(p place) string { return p.restore },
}

// found tells whether the program is there, and its version.
func (g program) found(ctx context.Context) (version string, ok bool) {
	if _, err := exec.LookPath(g.path); err != nil {
		return "", false
	}
	if g.version == nil {
		return "this tree", true
	}
	out, err := exec.CommandContext(ctx, g.path, g.version...).Output()
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return line, err == nil
}
