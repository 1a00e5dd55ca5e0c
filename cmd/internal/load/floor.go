//go:build linux

package main

import (
	"crypto/ed25519"
	"crypto/hpke"
	"crypto/rand"
	"errors"
	"runtime"
	"slices"
	"sync"
	"time"

	"filippo.io/nistec"
	"golang.org/x/sys/unix"
)

// floor is what a login's cryptography takes on this machine at this moment
// and nothing around it: CPU microseconds of one thread.
type floor struct {
	multiplication float64 // a variable base of P-256
	busy           float64 // the same while every core does it
	opaque         float64 // KE2's arithmetic: 4 multiplications, one of the base, 3 points read, 5 written
	opening        float64 // HPKE, keys in memory
	signature      float64 // Ed25519, of a token
}

const (
	floorFor    = 200 * time.Millisecond
	floorTakes  = 3
	floorAtOnce = 16 // between two looks at the clock
)

func measureFloor() (f floor, err error) {
	for _, m := range []struct {
		into *float64
		make func() (func() error, error)
	}{{&f.multiplication, multiplication}, {&f.opaque, opaqueArithmetic}, {&f.opening, opening}, {&f.signature, signature}} {
		work, err := m.make()
		if err != nil {
			return f, err
		}
		if *m.into, err = threadCost(work); err != nil {
			return f, err
		}
	}
	f.busy, err = everyCore()
	return f, err
}

// everyCore: where two processors are one core's threads, or the machine lends
// them out, what one takes grows with the other's work.
func everyCore() (us float64, err error) {
	costs, errs := make([]float64, procsMax()), make([]error, procsMax())
	var all sync.WaitGroup
	for i := range costs {
		all.Go(func() {
			work, err := multiplication()
			if err != nil {
				errs[i] = err
				return
			}
			costs[i], errs[i] = threadCost(work)
		})
	}
	all.Wait()
	return slices.Max(costs), errors.Join(errs...)
}

// threadCost is the median of several takes.
func threadCost(work func() error) (us float64, err error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var takes []float64
	for range floorTakes {
		n, start := 0, usage(unix.RUSAGE_THREAD)
		for usage(unix.RUSAGE_THREAD)-start < floorFor {
			for range floorAtOnce {
				if err := work(); err != nil {
					return 0, err
				}
			}
			n += floorAtOnce
		}
		takes = append(takes, float64((usage(unix.RUSAGE_THREAD)-start).Nanoseconds())/1e3/float64(n))
	}
	slices.Sort(takes)
	return takes[len(takes)/2], nil
}

// usage is the CPU of this thread or process.
func usage(whose int) time.Duration {
	var u unix.Rusage
	_ = unix.Getrusage(whose, &u) // fails for a bad argument only
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// keyPair is a scalar and its point, compressed.
func keyPair() (scalar, point []byte, err error) {
	scalar = make([]byte, 32)
	rand.Read(scalar[1:]) // below the order
	scalar[31] |= 1
	p, err := nistec.NewP256Point().ScalarBaseMult(scalar)
	if err != nil {
		return nil, nil, err
	}
	return scalar, p.BytesCompressed(), nil
}

func multiplication() (func() error, error) {
	scalar, point, err := keyPair()
	if err != nil {
		return nil, err
	}
	p, err := nistec.NewP256Point().SetBytes(point)
	q := nistec.NewP256Point()
	return func() error { _, err := q.ScalarMult(p, scalar); return err }, err
}

func opaqueArithmetic() (func() error, error) {
	scalar, point, err := keyPair()
	if err != nil {
		return nil, err
	}
	return func() error {
		var read [3]*nistec.P256Point // the blinded element and the key shares
		for i := range read {
			var err error
			if read[i], err = nistec.NewP256Point().SetBytes(point); err != nil {
				return err
			}
		}
		product := nistec.NewP256Point()
		for _, p := range []*nistec.P256Point{read[0], read[1], read[1], read[2]} {
			if _, err := product.ScalarMult(p, scalar); err != nil {
				return err
			}
			product.BytesCompressed()
		}
		if _, err := product.ScalarBaseMult(scalar); err != nil {
			return err
		}
		product.BytesCompressed()
		return nil
	}, nil
}

func opening() (func() error, error) {
	key, err := hpke.MLKEM768P256().GenerateKey()
	if err != nil {
		return nil, err
	}
	enc, sender, err := hpke.NewSender(key.PublicKey(), hpke.HKDFSHA256(), hpke.AES256GCM(), nil)
	if err != nil {
		return nil, err
	}
	sealed, err := sender.Seal(nil, make([]byte, 7000)) // a frame's length
	return func() error {
		r, err := hpke.NewRecipient(enc, key, hpke.HKDFSHA256(), hpke.AES256GCM(), nil)
		if err != nil {
			return err
		}
		_, err = r.Open(nil, sealed)
		return err
	}, err
}

var errSignature = errors.New("a good signature was refused")

func signature() (func() error, error) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, err
	}
	message := make([]byte, 250) // a token's length
	s := ed25519.Sign(private, message)
	return func() error {
		if !ed25519.Verify(public, message, s) {
			return errSignature
		}
		return nil
	}, nil
}
