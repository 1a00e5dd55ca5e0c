package scan

import (
	"bytes"
	"errors"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Attributes gives the extended attributes that belong to a file and not to
// its machine, by name: the user's own, access control lists and capabilities,
// where this process may read them. None where the file system has none.
func Attributes(path string) (out []Attribute, err error) {
	var names [1 << 10]byte
	n, err := unix.Llistxattr(path, names[:])
	list := names[:max(n, 0)]
	if errors.Is(err, unix.ERANGE) {
		list = make([]byte, 64<<10) // the most that Linux gives (xattr(7))
		n, err = unix.Llistxattr(path, list)
		list = list[:max(n, 0)]
	}
	if err != nil || n == 0 {
		return nil, nil // not to be had: the file itself still is
	}
	total := 0
	for name := range bytes.SplitSeq(bytes.TrimSuffix(list, []byte{0}), []byte{0}) {
		if !attributeKept(string(name)) {
			continue
		}
		value, ok := attribute(path, string(name))
		if !ok {
			continue
		}
		if total += len(name) + len(value); total > attributesBytesMax {
			return nil, ErrAttributes
		}
		out = append(out, Attribute{string(name), value})
	}
	slices.SortFunc(out, func(a, b Attribute) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

func attribute(path, name string) (value []byte, ok bool) {
	for range 3 { // it may grow between the two calls
		n, err := unix.Lgetxattr(path, name, nil)
		if err != nil {
			return nil, false
		}
		value = make([]byte, n)
		if n, err = unix.Lgetxattr(path, name, value); err == nil {
			return value[:n], true
		}
	}
	return nil, false
}

// attributeKept tells the attributes that mean the same on another machine.
// Labels of security modules (security.selinux, .ima, .evm) do not: the policy
// there gives a file its own.
func attributeKept(name string) bool {
	switch name {
	case "system.posix_acl_access", "system.posix_acl_default", "security.capability":
		return true
	}
	return strings.HasPrefix(name, "user.")
}

// SetAttribute gives an open file or folder an attribute.
func SetAttribute(fd uintptr, a Attribute) error {
	return unix.Fsetxattr(int(fd), a.Name, a.Value, 0)
}
