package main

import (
	"errors"
	"math"
	"strconv"
	"strings"

	"strongroom/backup"
	"strongroom/cmd/internal/folder"
)

// leaveFlags say what a backup leaves out. They are remembered with the paths.
type leaveFlags struct {
	Exclude           []string `help:"Leave out what matches this pattern, by the rules of .gitignore from each path on: *.tmp, /cache/, media/**/thumbs, !keep.tmp. A full path will do too. May be given more than once." placeholder:"PATTERN" sep:"none"`
	ExcludeCaches     bool     `help:"Leave out what is in folders that hold a CACHEDIR.TAG."`
	ExcludeLargerThan byteSize `help:"Leave out larger files: 500M, 2G." placeholder:"SIZE"`
	OneFileSystem     bool     `help:"Stay out of folders where another file system is mounted."`
}

func (f leaveFlags) leave() folder.Leave {
	return folder.Leave{Exclude: f.Exclude, Caches: f.ExcludeCaches, LargerThan: int64(f.ExcludeLargerThan), OneFileSystem: f.OneFileSystem}
}

// engineLeave is what the settings say, as the engine takes it.
func engineLeave(l folder.Leave) backup.Leave {
	return backup.Leave{Patterns: l.Exclude, Caches: l.Caches, BytesMax: l.LargerThan, OtherSystems: l.OneFileSystem}
}

// byteSize is a number of bytes on the command line.
type byteSize int64

var errSize = errors.New("a size is a number with k, M, G or T behind it (thousands), or Ki, Mi, Gi, Ti")

// UnmarshalText reads 700, 500M, 1.5G, 64Mi, with or without a B at the end.
func (s *byteSize) UnmarshalText(text []byte) error {
	number := strings.TrimSuffix(strings.TrimSpace(string(text)), "B")
	unit := 1000.0
	if cut, ok := strings.CutSuffix(number, "i"); ok {
		number, unit = cut, 1024
	}
	factor := 1.0
	if at := strings.IndexAny(number, "kKMGT"); at >= 0 && at == len(number)-1 {
		factor = math.Pow(unit, float64(1+strings.Index("kMGT", strings.ReplaceAll(number[at:], "K", "k"))))
		number = number[:at]
	} else if unit == 1024 {
		return errSize
	}
	f, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if err != nil || !(f*factor <= math.MaxInt64/2) || f*factor < 1 {
		return errSize
	}
	*s = byteSize(f * factor)
	return nil
}
