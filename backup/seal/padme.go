package seal

import "math/bits"

// Padme is the least size of at least n bytes whose low bits are zero, so
// that a size tells at most O(log log n) bits ("Reducing Metadata Leakage
// from Encrypted Files and Communication with PURBs", Nikitin et al., 2019,
// section 4). At most 12 % more, less for large n.
func Padme(n int) int {
	if n < 2 {
		return n
	}
	e := bits.Len(uint(n)) - 1 // floor(log2 n)
	s := bits.Len(uint(e))     // floor(log2 e) + 1
	mask := 1<<(e-s) - 1
	return (n + mask) &^ mask
}
