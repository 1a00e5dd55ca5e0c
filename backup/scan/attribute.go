package scan

import "errors"

// Attribute is an extended attribute of a file or folder (xattr(7)).
type Attribute struct {
	Name  string
	Value []byte
}

// attributesBytesMax bounds the names and values of one file.
const attributesBytesMax = 128 << 10

// ErrAttributes: a file has more in extended attributes than is backed up.
var ErrAttributes = errors.New("its extended attributes are larger than 128 KiB and are left out")
