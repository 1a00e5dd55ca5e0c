//go:build pkcs11 && cgo

package pkcs11

import (
	"fmt"

	p11 "github.com/miekg/pkcs11"
)

// session is one session of the token, used by one goroutine at a time. Its
// methods are the module's calls, each naming itself where it fails.
type session struct {
	ctx    cryptoki
	handle p11.SessionHandle
	keys   *keys // of the login under which it was opened
}

type (
	object   = p11.ObjectHandle
	template = []*p11.Attribute
)

func mechanism(number uint, parameter any) []*p11.Mechanism {
	return []*p11.Mechanism{p11.NewMechanism(number, parameter)}
}

func attribute(kind uint, value any) *p11.Attribute { return p11.NewAttribute(kind, value) }

func (s *session) generateKey(t template) (object, error) {
	o, err := s.ctx.GenerateKey(s.handle, mechanism(p11.CKM_AES_KEY_GEN, nil), t)
	return o, answered("C_GenerateKey (AES)", err)
}

func (s *session) generateMAC(t template) (object, error) {
	o, err := s.ctx.GenerateKey(s.handle, mechanism(p11.CKM_GENERIC_SECRET_KEY_GEN, nil), t)
	return o, answered("C_GenerateKey (HMAC)", err)
}

func (s *session) generatePair(public, private template) (pub, priv object, err error) {
	pub, priv, err = s.ctx.GenerateKeyPair(s.handle, mechanism(p11.CKM_EC_KEY_PAIR_GEN, nil), public, private)
	return pub, priv, answered("C_GenerateKeyPair (P-256)", err)
}

func (s *session) create(t template) (object, error) {
	o, err := s.ctx.CreateObject(s.handle, t)
	return o, answered("C_CreateObject", err)
}

func (s *session) copy(o object, t template) (object, error) {
	made, err := s.ctx.CopyObject(s.handle, o, t)
	return made, answered("C_CopyObject", err)
}

func (s *session) destroy(o object) error {
	return answered("C_DestroyObject", s.ctx.DestroyObject(s.handle, o))
}

func (s *session) get(o object, kind uint) ([]byte, error) {
	a, err := s.ctx.GetAttributeValue(s.handle, o, template{attribute(kind, nil)})
	if err != nil {
		return nil, answered("C_GetAttributeValue", err)
	}
	return a[0].Value, nil
}

// foundMax: one more than there may be, so that a doubled object is seen.
const foundMax = 2

// find looks objects up. None at all is believed only of a session that is
// logged in: to others a token shows no private object.
func (s *session) find(t template) ([]object, error) { return s.findUpTo(foundMax, t) }

func (s *session) findUpTo(max int, t template) ([]object, error) {
	if err := s.ctx.FindObjectsInit(s.handle, t); err != nil {
		return nil, answered("C_FindObjectsInit", err)
	}
	found, _, err := s.ctx.FindObjects(s.handle, max)
	end := s.ctx.FindObjectsFinal(s.handle)
	if err != nil {
		return nil, answered("C_FindObjects", err)
	}
	if end != nil || len(found) > 0 {
		return found, answered("C_FindObjectsFinal", end)
	}
	if !s.loggedIn() {
		return nil, answered("C_FindObjects", p11.Error(p11.CKR_USER_NOT_LOGGED_IN))
	}
	return nil, nil
}

func (s *session) loggedIn() bool {
	info, err := s.ctx.GetSessionInfo(s.handle)
	return err == nil && info.State == p11.CKS_RW_USER_FUNCTIONS
}

func (s *session) wrap(number uint, with, key object) ([]byte, error) {
	b, err := s.ctx.WrapKey(s.handle, mechanism(number, nil), with, key)
	return b, answered("C_WrapKey", err)
}

func (s *session) unwrap(number uint, with object, wrapped []byte, t template) (object, error) {
	o, err := s.ctx.UnwrapKey(s.handle, mechanism(number, nil), with, wrapped, t)
	return o, answered("C_UnwrapKey", err)
}

// deriveX gives the x of key times point as bytes, and leaves no object.
func (s *session) deriveX(key object, point []byte) (x []byte, err error) {
	parameters := p11.NewECDH1DeriveParams(p11.CKD_NULL, nil, point)
	o, err := s.ctx.DeriveKey(s.handle, mechanism(p11.CKM_ECDH1_DERIVE, parameters), key, sharedX)
	if err != nil {
		return nil, answered("C_DeriveKey (ECDH)", err)
	}
	x, err = s.get(o, p11.CKA_VALUE)
	return x, first(err, s.destroy(o))
}

// sharedX is the template of a derived x: it is the answer itself, so it may
// be read.
var sharedX = template{
	attribute(p11.CKA_CLASS, p11.CKO_SECRET_KEY), attribute(p11.CKA_KEY_TYPE, p11.CKK_GENERIC_SECRET),
	attribute(p11.CKA_TOKEN, false), attribute(p11.CKA_PRIVATE, true), attribute(p11.CKA_SENSITIVE, false),
	attribute(p11.CKA_EXTRACTABLE, true), attribute(p11.CKA_VALUE_LEN, coordinateBytes),
}

// sum is HMAC-SHA256 (RFC 2104) in the token.
func (s *session) sum(input []byte) ([]byte, error) { return s.sumBy(s.keys.root().mac, input) }

func (s *session) sumBy(key object, input []byte) ([]byte, error) {
	if err := s.ctx.SignInit(s.handle, mechanism(p11.CKM_SHA256_HMAC, nil), key); err != nil {
		return nil, answered("C_SignInit (HMAC)", err)
	}
	b, err := s.ctx.Sign(s.handle, input)
	return b, answered("C_Sign (HMAC)", err)
}

// encrypt is AES-256-GCM (NIST SP 800-38D). Some tokens choose the nonce
// themselves, so it is read back.
func (s *session) encrypt(key object, nonce, aad, plaintext []byte) (used, ciphertext []byte, err error) {
	p := p11.NewGCMParams(nonce, aad, 8*tagBytes)
	defer p.Free()
	if err := s.ctx.EncryptInit(s.handle, mechanism(p11.CKM_AES_GCM, p), key); err != nil {
		return nil, nil, answered("C_EncryptInit (AES-GCM)", err)
	}
	ciphertext, err = s.ctx.Encrypt(s.handle, plaintext)
	return p.IV(), ciphertext, answered("C_Encrypt (AES-GCM)", err)
}

// encryptWhole looks whether the token gave what the format has room for.
func (s *session) encryptWhole(key object, nonce, aad, plaintext []byte) (used, ciphertext []byte, err error) {
	used, ciphertext, err = s.encrypt(key, nonce, aad, plaintext)
	if err == nil && (len(used) != nonceBytes || len(ciphertext) != len(plaintext)+tagBytes) {
		err = fmt.Errorf("%w: AES-GCM with a nonce of %d bytes, %d for %d", ErrAnswer, len(used), len(ciphertext), len(plaintext))
	}
	return used, ciphertext, err
}

func (s *session) decrypt(key object, nonce, aad, ciphertext []byte) ([]byte, error) {
	p := p11.NewGCMParams(nonce, aad, 8*tagBytes)
	defer p.Free()
	if err := s.ctx.DecryptInit(s.handle, mechanism(p11.CKM_AES_GCM, p), key); err != nil {
		return nil, answered("C_DecryptInit (AES-GCM)", err)
	}
	plaintext, err := s.ctx.Decrypt(s.handle, ciphertext)
	return plaintext, answered("C_Decrypt (AES-GCM)", err)
}

// first is the earlier of two errors: what comes after a fault is its echo.
func first(err, next error) error {
	if err != nil {
		return err
	}
	return next
}
