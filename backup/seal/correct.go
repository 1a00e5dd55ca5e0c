package seal

// keyDigits is the length of a key as a person types it: hexadecimal digits.
const keyDigits = 2 * KeyBytes

// CorrectKey puts right a 64-digit key that a person typed: no mistake, one
// or two wrong digits, or any two digits swapped. False if no such key is the
// repository's. At most 457,000 tries of about 1.5 microseconds; two keys can
// not both fit, the check value has 256 bits.
func CorrectKey(h *Header, typed *[KeyBytes]byte) ([KeyBytes]byte, bool) {
	k := *typed
	if h.Verify(&k) == nil {
		return k, true
	}
	if swapped(h, &k) || wrongDigits(h, &k, 0, 2) {
		return k, true
	}
	return [KeyBytes]byte{}, false
}

// swapped tries every pair of digits; k is the key when it says true, else
// as it was.
func swapped(h *Header, k *[KeyBytes]byte) bool {
	for i := range keyDigits {
		for j := i + 1; j < keyDigits; j++ {
			a, b := digit(k, i), digit(k, j)
			if a == b {
				continue
			}
			setDigit(k, i, b)
			setDigit(k, j, a)
			if h.Verify(k) == nil {
				return true
			}
			setDigit(k, i, a)
			setDigit(k, j, b)
		}
	}
	return false
}

// wrongDigits tries other digits at up to left places from place on.
func wrongDigits(h *Header, k *[KeyBytes]byte, place, left int) bool {
	for i := place; i < keyDigits; i++ {
		was := digit(k, i)
		for d := range byte(16) {
			if d == was {
				continue
			}
			setDigit(k, i, d)
			if h.Verify(k) == nil || left > 1 && wrongDigits(h, k, i+1, left-1) {
				return true
			}
		}
		setDigit(k, i, was)
	}
	return false
}

func digit(k *[KeyBytes]byte, i int) byte {
	return k[i/2] >> (4 * (1 - i%2)) & 15
}

func setDigit(k *[KeyBytes]byte, i int, d byte) {
	shift := 4 * (1 - i%2)
	k[i/2] = k[i/2]&^(15<<shift) | d<<shift
}
