//go:build !linux

package link

import "errors"

// spaces there are on Linux only.
type spaces struct{}

var errSpaces = errors.ErrUnsupported

func missing() string                { return "namespaces are Linux's" }
func newSpaces(int) (*spaces, error) { return nil, errSpaces }
func (*spaces) name(int) string      { return "" }
func (*spaces) host(int) string      { return "" }
func (*spaces) face(int) string      { return "" }
func (*spaces) part(int, int) error  { return errSpaces }
func (*spaces) heal() error          { return errSpaces }
func (*spaces) close() error         { return errSpaces }
