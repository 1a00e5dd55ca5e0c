package backup

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path"
	"runtime"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"strongroom/backup/scan"
)

// naming is what a target does with names.
type naming struct {
	folds    bool // Name and name, or two ways to write one letter, are one file
	text     bool // names are UTF-8 and nothing else
	windows  bool // its reserved names, characters and ends
	bytesMax int  // of one name
}

// nameBytesMax is what nearly every file system takes; where the system says
// another number, that counts.
const nameBytesMax = 255

// namingOf finds out what a target does with names. root may be nil.
func namingOf(root *os.Root, target string, mayWrite bool) naming {
	n := naming{
		folds: runtime.GOOS == "windows" || runtime.GOOS == "darwin", text: runtime.GOOS == "windows" || runtime.GOOS == "darwin",
		windows: runtime.GOOS == "windows", bytesMax: nameBytesMax,
	}
	if root == nil {
		return n
	}
	if most := nameBytes(target); most > 0 {
		n.bytesMax = most
	}
	n.folds = foldsNames(root, n.folds, mayWrite)
	return n
}

// foldsNames asks for something that is there by another spelling; in an empty
// target, for something that it makes. usual is what the system mostly does.
func foldsNames(root *os.Root, usual, mayWrite bool) bool {
	f, err := root.Open(".")
	if err != nil {
		return usual
	}
	names, _ := f.Readdirnames(probesMax)
	f.Close()
	if len(names) == 0 && mayWrite {
		made, err := root.OpenFile(probeName, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return usual
		}
		made.Close()
		defer root.Remove(probeName)
		names = []string{probeName}
	}
	for _, name := range names {
		other := strings.ToUpper(name)
		if other == name {
			other = strings.ToLower(name)
		}
		if other != name && !slices.Contains(names, other) {
			_, err := root.Lstat(other)
			return err == nil
		}
	}
	return usual
}

// probesMax is how many names are looked through for one with a letter.
const probesMax = 64

const probeName = scan.PartPrefix + "probe" + scan.PartSuffix

// placer gives each path of a snapshot a place that the target can keep. Two
// paths never get one place: Attack or accident: a snapshot of Linux with
// "Invoice" and "invoice", restored where they are one file; the second would
// overwrite the first, and the restore would say that all is well.
type placer struct {
	naming
	placed map[string]string // folders that are elsewhere than their own name: path -> place
	taken  map[string]string // folded place -> path
	fold   cases.Caser
}

func newPlacer(n naming) *placer {
	return &placer{naming: n, placed: map[string]string{}, taken: map[string]string{}, fold: cases.Fold()}
}

// place gives where name goes; the folder that it is in comes before it.
func (p *placer) place(name string) string {
	dir, base := path.Dir(name), path.Base(name)
	if at, moved := p.placed[dir]; moved {
		dir = at
	}
	out := path.Join(dir, p.fit(base))
	if p.folds {
		out = p.claim(name, out)
	}
	if out != name {
		p.placed[name] = out
	}
	return out
}

// claim gives out, or the next free place like it.
func (p *placer) claim(name, out string) string {
	ext := path.Ext(out)
	stem := strings.TrimSuffix(out, ext)
	if strings.Contains(ext, "/") || path.Base(stem) == "." || stem == "" || strings.HasSuffix(stem, "/") {
		stem, ext = out, ""
	}
	for try, n := out, 2; ; n++ {
		key := p.fold.String(norm.NFC.String(try))
		if owner, there := p.taken[key]; !there || owner == name {
			p.taken[key] = name
			return try
		}
		try = fmt.Sprintf("%s~%d%s", stem, n, ext)
	}
}

// fit gives the name itself, or one like it that the target can keep.
func (p *placer) fit(base string) string {
	out := base
	if p.text && !utf8.ValidString(out) {
		out = escape(out, func(r rune, width int) bool { return r == utf8.RuneError && width == 1 })
	}
	if p.windows {
		out = fitWindows(out)
	}
	if len(out) > p.bytesMax {
		out = shorten(out, base, p.bytesMax)
	}
	return out
}

// escape writes the bytes of what bad finds as %XX.
func escape(s string, bad func(r rune, width int) bool) string {
	var out strings.Builder
	for len(s) > 0 {
		r, width := utf8.DecodeRuneInString(s)
		if bad(r, width) {
			for i := range width {
				fmt.Fprintf(&out, "%%%02X", s[i])
			}
		} else {
			out.WriteString(s[:width])
		}
		s = s[width:]
	}
	return out.String()
}

// fitWindows follows "Naming Files, Paths, and Namespaces" of Windows: no
// control or wildcard characters, no dot or space at the end, no device names,
// with whatever ending.
func fitWindows(s string) string {
	s = escape(s, func(r rune, _ int) bool { return r < 0x20 || strings.ContainsRune(`<>:"|?*\`, r) })
	if last := len(s) - 1; s[last] == '.' || s[last] == ' ' {
		s = s[:last] + fmt.Sprintf("%%%02X", s[last])
	}
	stem, _, _ := strings.Cut(s, ".")
	stem = strings.ToUpper(strings.TrimRight(stem, " "))
	number := strings.TrimPrefix(strings.TrimPrefix(stem, "COM"), "LPT")
	device := stem == "CON" || stem == "PRN" || stem == "AUX" || stem == "NUL" || stem == "CONIN$" || stem == "CONOUT$" ||
		number != stem && len([]rune(number)) == 1 && strings.ContainsAny(number, "0123456789¹²³")
	if device {
		s = fmt.Sprintf("%%%02X", s[0]) + s[1:]
	}
	return s
}

// shorten keeps the beginning and the ending of a name, with a part of its
// hash between them.
func shorten(s, whole string, bytesMax int) string {
	ext := path.Ext(s)
	if len(ext) > bytesMax/8 || len(ext) == len(s) {
		ext = ""
	}
	sum := sha256.Sum256([]byte(whole))
	mark := "~" + hex.EncodeToString(sum[:4])
	stem := s[:max(1, bytesMax-len(mark)-len(ext))]
	for len(stem) > 1 && !utf8.ValidString(stem) && utf8.ValidString(s) {
		stem = stem[:len(stem)-1]
	}
	return stem + mark + ext
}
