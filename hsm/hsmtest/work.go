package hsmtest

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"

	"strongroom/vault/hal"
)

// work is an HSM in use, with what each call must give. A call that failed may
// have happened or not: what it would have changed is then open until the next
// look, and is one of the two.
type work struct {
	hal.HAL
	wrapped, public, product []byte
	point, named             []byte
	signer                   []byte
	sealed, sealedEpoch      []byte

	names  int           // of keys that were made, or tried
	count  atomic.Uint64 // of names and epochs that were never used
	memory []string      // what may be read: one value, or two after a failure
	epochs []uint64      // that have keys
	doubt  []uint64      // that may have one
}

const workEpoch = 1

func newWork(t *testing.T, h hal.HAL) *work {
	t.Helper()
	w := &work{HAL: h, point: algebraOf(hal.P256).random(t), memory: []string{"memory"}, epochs: []uint64{workEpoch}}
	w.count.Store(workEpoch)
	var err error
	if w.wrapped, w.public, err = h.MakeOPRFKey(hal.P256); err != nil {
		t.Fatal(err)
	}
	w.product = must(h.MultiplyWrapped(hal.P256, w.wrapped, w.point))(t)
	must(h.MakeKey("ake", hal.P256))(t)
	w.named = must(h.Multiply("ake", w.point))(t)
	w.signer = must(h.MakeSigningKey("box"))(t)
	w.sealed = must(h.Seal([]byte("place"), []byte("value")))(t)
	if err := errors.Join(h.MakeEpochKey(workEpoch), h.WriteMemory([]byte("memory"))); err != nil {
		t.Fatal(err)
	}
	w.sealedEpoch = must(h.SealEpoch(workEpoch, []byte("place"), []byte("secret")))(t)
	return w
}

// wrong is an answer that no fault excuses.
type wrong string

func (w wrong) Error() string { return "a wrong answer: " + string(w) }

func same(got []byte, err error, want []byte) error {
	if err == nil && !bytes.Equal(got, want) {
		return wrong(fmt.Sprintf("%x, want %x", got, want))
	}
	return err
}

// Calls puts h to use and gives all its calls by name, each saying what was
// wrong with the answer. One runs at a time, but for those in Reading.
func Calls(t *testing.T, h hal.HAL) map[string]func() error {
	calls := map[string]func() error{}
	for _, c := range newWork(t, h).calls() {
		calls[c.name] = c.do
	}
	return calls
}

// Reading are calls that many goroutines may make at once.
var Reading = []string{"MultiplyWrapped", "Multiply", "MultiplyX", "Sign", "PublicKey", "MakeOPRFKey", "Seal", "Open", "OpenEpoch", "SealEpoch", "Random"}

// call is one call of an HSM.
type call struct {
	name    string
	durable bool // and needs room
	do      func() error
}

// calls are all calls of the contract.
func (w *work) calls() []call {
	return []call{
		{"MultiplyWrapped", false, func() error {
			got, err := w.MultiplyWrapped(hal.P256, w.wrapped, w.point)
			return same(got, err, w.product)
		}},
		{"Multiply", false, func() error { got, err := w.Multiply("ake", w.point); return same(got, err, w.named) }},
		{"MultiplyX", false, func() error { got, err := w.MultiplyX("ake", w.point); return same(got, err, w.named[1:]) }},
		{"Sign", false, w.sign},
		{"PublicKey", false, func() error { got, err := w.PublicKey("box"); return same(got, err, w.signer) }},
		{"MakeOPRFKey", false, w.makeWrapped},
		{"Seal", false, func() error {
			sealed, err := w.Seal(nil, []byte("x"))
			if err != nil {
				return err
			}
			return w.openAgain(sealed)
		}},
		{"Open", false, func() error { got, err := w.Open([]byte("place"), w.sealed); return same(got, err, []byte("value")) }},
		{"OpenEpoch", false, func() error {
			got, err := w.OpenEpoch(workEpoch, []byte("place"), w.sealedEpoch)
			return same(got, err, []byte("secret"))
		}},
		{"SealEpoch", false, func() error { _, err := w.SealEpoch(workEpoch, nil, []byte("x")); return err }},
		{"EpochKeys", false, w.listEpochs},
		{"Random", false, func() error { return w.Random(make([]byte, 40)) }},
		{"ReadMemory", false, w.readMemory},
		{"MakeKey", true, func() error { _, err := w.MakeKey(w.name(), hal.P256); return err }},
		{"MakeSigningKey", true, func() error { _, err := w.MakeSigningKey(w.name()); return err }},
		{"MakeEpochKey and DestroyEpochKey", true, w.turnEpoch},
		{"WriteMemory", true, func() error { return w.writeMemory(16) }},
	}
}

func (w *work) name() string {
	w.names++
	return fmt.Sprint("key ", w.count.Add(1))
}

// namesMax is how many named keys every HSM holds beside those of newWork.
const namesMax = 10

func (w *work) sign() error {
	digest := sha256.Sum256([]byte("signed"))
	signature, err := w.Sign("box", digest)
	if err == nil && !verifies(w.signer, digest, signature) {
		return wrong("a signature that does not verify")
	}
	return err
}

func (w *work) makeWrapped() error {
	wrapped, public, err := w.MakeOPRFKey(hal.P256)
	if err == nil && (len(wrapped) == 0 || len(public) != len(w.public) || bytes.Equal(public, w.public)) {
		return wrong("no new key")
	}
	return err
}

// openAgain opens what the call before sealed; that it may fail too says
// nothing about the sealing.
func (w *work) openAgain(sealed []byte) error {
	got, err := w.Open(nil, sealed)
	if errors.Is(err, hal.ErrSealed) {
		return wrong("what was sealed does not open")
	}
	return same(got, err, []byte("x"))
}

// turnEpoch makes the next epoch's key, then destroys it.
func (w *work) turnEpoch() error {
	epoch := w.count.Add(1)
	w.doubt = append(w.doubt, epoch)
	if err := w.MakeEpochKey(epoch); err != nil {
		return err
	}
	if list, err := w.EpochKeys(); err != nil || !slices.Contains(list, epoch) {
		return cmp.Or(err, error(wrong("a key that was made is not there")))
	}
	if err := w.DestroyEpochKey(epoch); err != nil {
		return err
	}
	w.doubt = w.doubt[:len(w.doubt)-1]
	return w.listEpochs()
}

// listEpochs compares, and ends the doubt about what failed earlier. What was
// left in spite of a failure is destroyed, for an HSM holds only so many.
func (w *work) listEpochs() error {
	list, err := w.EpochKeys()
	if err != nil {
		return err
	}
	for _, epoch := range w.epochs {
		if !slices.Contains(list, epoch) {
			return wrong(fmt.Sprintf("epochs %d, without %d", list, epoch))
		}
	}
	for _, epoch := range list {
		if !slices.Contains(w.epochs, epoch) && !slices.Contains(w.doubt, epoch) {
			return wrong(fmt.Sprintf("epochs %d: nobody made %d, or it was destroyed", list, epoch))
		}
	}
	for _, epoch := range slices.Clone(w.doubt) {
		if err := w.DestroyEpochKey(epoch); err != nil {
			return err
		}
		w.doubt = slices.DeleteFunc(w.doubt, func(e uint64) bool { return e == epoch })
	}
	return nil
}

func (w *work) readMemory() error {
	got, err := w.ReadMemory()
	if err != nil {
		return err
	}
	if !slices.Contains(w.memory, string(got)) {
		return wrong(fmt.Sprintf("the memory holds %.20q, want one of %.20q", got, w.memory))
	}
	w.memory = []string{string(got)}
	return nil
}

func (w *work) writeMemory(size int) error {
	next := fmt.Sprintf("%*d", size, w.count.Add(1))
	w.memory = append(w.memory, next)
	err := w.WriteMemory([]byte(next))
	if err == nil {
		w.memory = []string{next}
	}
	return err
}
