//go:build !unix

package main

import "io/fs"

func diskBytes(info fs.FileInfo) int64 { return info.Size() }
