package ceremony

import (
	"errors"
	"os"
	"path/filepath"

	"strongroom/cmd/internal/serve"
	"strongroom/hsm/soft"
)

// Rehearse holds the whole ceremony in a folder of its own that it takes away
// again, with throwaway software HSMs: nothing in a token or a data folder is
// touched. What it says of the fleet is true of the real one but for its
// random keys. The transcript goes away too.
func Rehearse(p *Plan, planText []byte, o Options) (r *Result, err error) {
	for _, b := range p.Boxes {
		if err := serve.CheckEmpty(b.Data); err != nil {
			return nil, err
		}
		for _, path := range []string{b.PassphraseFile, b.PINFile, b.PKCS11Module} {
			if path == "" {
				continue
			}
			if _, err := os.Stat(path); err != nil {
				return nil, planned("box %q: %w", b.Name, err)
			}
		}
	}
	if _, err := os.Lstat(o.Out); err == nil {
		return nil, planned("the folder for the transcript must be new: %s exists", o.Out)
	}
	folder, err := os.MkdirTemp("", "strongroom-rehearsal-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	throwaway := *p
	throwaway.Boxes = nil
	for _, b := range p.Boxes {
		b.Data, b.HSM, b.PassphraseFile = filepath.Join(folder, b.Name), soft.Kind, ""
		throwaway.Boxes = append(throwaway.Boxes, b)
	}
	o.Out, o.Passphrase, o.Stretch, o.Custodians = filepath.Join(folder, ".out"), nil, soft.Cheap, nil
	r, err = Hold(&throwaway, planText, o)
	return r, err
}
