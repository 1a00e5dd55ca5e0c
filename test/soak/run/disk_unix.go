//go:build unix

package main

import (
	"io/fs"
	"syscall"
)

// diskBytes is what a file takes of the disk: a small one its whole block, one
// with holes only what is between them.
func diskBytes(info fs.FileInfo) int64 {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return int64(stat.Blocks) * 512
	}
	return info.Size()
}
