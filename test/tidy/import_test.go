package tidy

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// allowed is the import law: what a room's own files (tests apart) may import
// of our own. The longest folder that holds a room decides; a folder ending
// in /* stands for each room below it, by itself: hsm/x may import hsm/x/...
// but not hsm/y. A name ending in /** allows all below. A room that no line
// holds breaks the law.
var allowed = map[string][]string{
	"cmd":        {"**"}, // only cmd and test compose
	"test":       {"**"},
	"host/*":     {"protocol/wire", "protocol/bundle"},
	"host/relay": {"protocol/wire", "protocol/bundle", "protocol/token"},
	"vault":      {"vault/hal", "vault/internal/**", "protocol/wire", "protocol/channel", "protocol/opaque", "protocol/bundle", "protocol/token"},
	"vault/hal":  {"protocol/wire"},
	"box":        {"vault", "vault/hal", "protocol/wire"},
	"hsm/*":      {"vault/hal", "hsm/internal/**"},
	"client":     {"protocol/**"},
	"backup":     {"store", "backup/**"}, // it is handed 32 bytes, never a protocol
	"store":      {},
	"store/*":    {"store"},
	// The contract's two runners, and the real servers that providers are tried on.
	"store/storetest":         {"store", "store/contract"},
	"store/s3/s3test":         {"store/storetest"},
	"store/rclone/rclonetest": {"store/storetest"},
	"protocol":                {"protocol/**"},
	"web":                     {},
}

// unlinked is what a program must not hold, however far down.
var unlinked = map[string][]string{
	"cmd/strongroomd": {"store", "backup"}, // the trusted program knows no storage
	"vault":           {"client", "host", "store", "backup", "hsm"},
	"client":          {"vault", "hsm", "host", "store", "backup"},
	"host":            {"vault", "hsm", "client", "protocol/opaque", "protocol/channel"},
}

func importLaw(t tree) (broken []string) {
	for _, s := range t.sources() {
		if s.test {
			continue
		}
		rule, own, found := ruleFor(s.room)
		if !found {
			broken = append(broken, fmt.Sprintf("%s: room %s is not in the import law (test/tidy/import_test.go)", s.path, s.room))
			continue
		}
		for _, imported := range s.imports() {
			room, ours := strings.CutPrefix(imported, module+"/")
			if room == "test/soak" && s.usesTesting() {
				continue // a contract has its long size too
			}
			if ours && !under(room, own) && !permits(rule, room) {
				broken = append(broken, fmt.Sprintf("%s: %s may not import %s; it may import %v", s.path, s.room, room, rule))
			}
		}
	}
	return broken
}

// ruleFor gives the line of a room and the folder that is its own, which it
// may always import from ("" if only what the line says).
func ruleFor(room string) (rule []string, own string, found bool) {
	for folder := room; ; {
		if rule, found := allowed[folder]; found {
			return rule, "\x00", true
		}
		cut := strings.LastIndexByte(folder, '/')
		if cut < 0 {
			return nil, "", false
		}
		if rule, found := allowed[folder[:cut]+"/*"]; found {
			return rule, folder, true
		}
		folder = folder[:cut]
	}
}

func permits(rule []string, room string) bool {
	return slices.ContainsFunc(rule, func(pattern string) bool {
		if pattern == "**" || pattern == room {
			return true
		}
		folder, all := strings.CutSuffix(pattern, "/**")
		return all && under(room, folder)
	})
}

func linkLaw(t tree) (broken []string) {
	direct := map[string]map[string]bool{}
	for _, s := range t.sources() {
		if s.test {
			continue
		}
		if direct[s.room] == nil {
			direct[s.room] = map[string]bool{}
		}
		for _, imported := range s.imports() {
			if room, ours := strings.CutPrefix(imported, module+"/"); ours {
				direct[s.room][room] = true
			}
		}
	}
	for _, room := range slices.Sorted(maps.Keys(direct)) {
		for folder, banned := range unlinked {
			if !under(room, folder) {
				continue
			}
			for linked := range closure(direct, room) {
				if slices.ContainsFunc(banned, func(b string) bool { return under(linked, b) }) {
					broken = append(broken, fmt.Sprintf("%s links %s", room, linked))
				}
			}
		}
	}
	return broken
}

func closure(direct map[string]map[string]bool, room string) map[string]bool {
	all, open := map[string]bool{}, []string{room}
	for len(open) > 0 {
		last := open[len(open)-1]
		open = open[:len(open)-1]
		for next := range direct[last] {
			if !all[next] {
				all[next] = true
				open = append(open, next)
			}
		}
	}
	return all
}

func TestImportLaw(t *testing.T) { holds(t, importLaw) }

func TestLinkLaw(t *testing.T) { holds(t, linkLaw) }

func TestImportLawCatches(t *testing.T) {
	clean := tree{
		"vault/vault.go":      "package vault\nimport _ \"strongroom/vault/hal\"\nimport _ \"strongroom/vault/internal/record\"",
		"store/s3/s3.go":      "package s3\nimport _ \"strongroom/store\"\nimport _ \"strongroom/store/s3/part\"",
		"host/relay/relay.go": "package relay\nimport _ \"strongroom/protocol/token\"",
		"cmd/x/main.go":       "package main\nimport _ \"strongroom/vault\"",
		"backup/a_test.go":    "package backup\nimport _ \"strongroom/client\"",
		"hsm/hsmtest/c.go":    "package hsmtest\nimport _ \"testing\"\nimport _ \"strongroom/test/soak\"",
	}
	for _, c := range []struct{ file, imported, want string }{
		{"vault/hal/hal.go", "host/node", "vault/hal may not import host/node"},
		{"vault/internal/record/r.go", "vault", "vault/internal/record may not import vault;"},
		{"host/node/node.go", "vault", "host/node may not import vault"},
		{"host/node/node.go", "protocol/token", "host/node may not import protocol/token"},
		{"host/relay/more.go", "protocol/opaque", "host/relay may not import protocol/opaque"},
		{"hsm/soft/soft.go", "hsm/tpm", "hsm/soft may not import hsm/tpm"},
		{"hsm/soft/soft.go", "test/soak", "hsm/soft may not import test/soak"},
		{"hsm/soft/soft.go", "protocol/opaque", "hsm/soft may not import protocol/opaque"},
		{"client/client.go", "vault/hal", "client may not import vault/hal"},
		{"backup/seal/seal.go", "protocol/wire", "backup/seal may not import protocol/wire"},
		{"backup/seal/seal.go", "store/dir", "backup/seal may not import store/dir"},
		{"store/dir/dir.go", "store/mem", "store/dir may not import store/mem"},
		{"store/s3/s3.go", "store/contract", "store/s3 may not import store/contract"},
		{"store/store.go", "backup", "store may not import backup"},
		{"protocol/wire/wire.go", "store", "protocol/wire may not import store"},
		{"box/box.go", "protocol/channel", "box may not import protocol/channel"},
		{"attic/attic.go", "store", "room attic is not in the import law"},
	} {
		text := fmt.Sprintf("package p\nimport _ %q", module+"/"+c.imported)
		catches(t, importLaw, clean, tree{c.file: text}, c.want)
	}
}

func TestLinkLawCatches(t *testing.T) {
	clean := tree{"cmd/strongroomd/main.go": "package main\nimport _ \"strongroom/cmd/internal/setting\"", "cmd/internal/setting/s.go": "package setting"}
	planted := tree{
		"cmd/internal/setting/more.go": "package setting\nimport _ \"strongroom/cmd/internal/storage\"",
		"cmd/internal/storage/s.go":    "package storage\nimport _ \"strongroom/store/dir\"",
		"store/dir/d.go":               "package dir",
	}
	catches(t, linkLaw, clean, planted, "cmd/strongroomd links store/dir")
}
