// Package wall gives up, for good and for every thread of a process, what a
// box does not need once its HSM is open: every way to open a descriptor,
// reach a network, run a program or look into another process. Each layer
// stands alone, so that a hole in one is not a hole in the wall.
package wall

import "errors"

// ErrWall: the kernel does not give what the wall is made of.
var ErrWall = errors.New("wall: this system can not keep a box in its own process")
