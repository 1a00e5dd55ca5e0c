//go:build linux

package island

// found makes the data folder of every box. An island of one makes its own at
// its first start.
func (i *Island) found() error {
	b := i.Box[0]
	if err := b.Start(); err != nil {
		return err
	}
	return b.Shut()
}
