//go:build !linux

package scan

import "errors"

// Attributes gives the extended attributes of a file: not taken on this
// system yet.
func Attributes(string) ([]Attribute, error) { return nil, nil }

// SetAttribute gives an open file or folder an attribute: not on this system.
func SetAttribute(uintptr, Attribute) error { return errors.ErrUnsupported }
