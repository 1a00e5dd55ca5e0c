package store

import (
	"errors"
	"fmt"
)

// NameBytesMax is the longest object name, in bytes.
const NameBytesMax = 200

var (
	// ErrSize: an object is larger than ObjectBytesMax. Nothing was written.
	ErrSize = errors.New("store: object too large")
	// ErrRange: a negative offset, or a length below -1.
	ErrRange = errors.New("store: invalid range")
)

// CheckName returns nil for a name that every storage can keep: parts of
// [a-z0-9-] joined by single slashes, 1 to NameBytesMax bytes in all; else
// ErrName. A name read from an untrusted listing passes here before it is
// used as a path: no dots, so no "..", no hidden file, no drive letter.
func CheckName(name string) error {
	if name == "" || len(name) > NameBytesMax {
		return fmt.Errorf("%w: %d bytes, wanted 1 to %d", ErrName, len(name), NameBytesMax)
	}
	for i := range len(name) {
		if !nameByte(name[i]) {
			return fmt.Errorf("%w: byte %#02x at %d", ErrName, name[i], i)
		}
		emptyPart := name[i] == '/' && (i == 0 || i == len(name)-1 || name[i-1] == '/')
		if emptyPart {
			return fmt.Errorf("%w: empty part at %d", ErrName, i)
		}
	}
	return nil
}

// CheckPrefix is CheckName for the prefix of a List: it may be empty, and may
// end with a slash or in the middle of a part.
func CheckPrefix(prefix string) error {
	if prefix == "" {
		return nil
	}
	if prefix[len(prefix)-1] == '/' {
		prefix = prefix[:len(prefix)-1]
	}
	return CheckName(prefix)
}

// CheckPut says whether an object may be put at all: ErrName or ErrSize.
func CheckPut(name string, data []byte) error {
	if err := CheckName(name); err != nil {
		return err
	}
	if len(data) > ObjectBytesMax {
		return fmt.Errorf("%w: %s has %d bytes, the limit is %d", ErrSize, name, len(data), ObjectBytesMax)
	}
	return nil
}

// CheckRange says whether a range may be asked for: ErrRange.
func CheckRange(offset, length int64) error {
	if offset < 0 || length < -1 {
		return fmt.Errorf("%w: offset %d, length %d", ErrRange, offset, length)
	}
	return nil
}

// Span turns a checked range into the bytes [from, to) that an object of size
// bytes has of it.
func Span(offset, length, size int64) (from, to int64) {
	from = min(offset, size)
	if length < 0 || length > size-from {
		return from, size
	}
	return from, from + length
}

func nameByte(c byte) bool {
	return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '/'
}
