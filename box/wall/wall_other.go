//go:build !linux

package wall

// Enter closes what was inherited; here there is nothing to build the wall
// of, so it answers ErrWall.
func Enter() error { return ErrWall }

// Confine answers ErrWall.
func Confine() ([]string, error) { return nil, ErrWall }

// Available answers ErrWall.
func Available() error { return ErrWall }
