//go:build pkcs11 && cgo

package pkcs11

import p11 "github.com/miekg/pkcs11"

// cryptoki is what sessions ask of a module: what *p11.Ctx does.
type cryptoki interface {
	OpenSession(slot uint, flags uint) (p11.SessionHandle, error)
	CloseSession(p11.SessionHandle) error
	GetSessionInfo(p11.SessionHandle) (p11.SessionInfo, error)
	Login(session p11.SessionHandle, user uint, pin string) error
	Logout(p11.SessionHandle) error

	FindObjectsInit(p11.SessionHandle, []*p11.Attribute) error
	FindObjects(session p11.SessionHandle, max int) ([]p11.ObjectHandle, bool, error)
	FindObjectsFinal(p11.SessionHandle) error
	GetAttributeValue(p11.SessionHandle, p11.ObjectHandle, []*p11.Attribute) ([]*p11.Attribute, error)
	CreateObject(p11.SessionHandle, []*p11.Attribute) (p11.ObjectHandle, error)
	CopyObject(p11.SessionHandle, p11.ObjectHandle, []*p11.Attribute) (p11.ObjectHandle, error)
	DestroyObject(p11.SessionHandle, p11.ObjectHandle) error

	GenerateKey(p11.SessionHandle, []*p11.Mechanism, []*p11.Attribute) (p11.ObjectHandle, error)
	GenerateKeyPair(session p11.SessionHandle, m []*p11.Mechanism, public, private []*p11.Attribute) (pub, priv p11.ObjectHandle, err error)
	GenerateRandom(session p11.SessionHandle, length int) ([]byte, error)
	WrapKey(session p11.SessionHandle, m []*p11.Mechanism, with, key p11.ObjectHandle) ([]byte, error)
	UnwrapKey(session p11.SessionHandle, m []*p11.Mechanism, with p11.ObjectHandle, wrapped []byte, t []*p11.Attribute) (p11.ObjectHandle, error)
	DeriveKey(p11.SessionHandle, []*p11.Mechanism, p11.ObjectHandle, []*p11.Attribute) (p11.ObjectHandle, error)
	SignInit(p11.SessionHandle, []*p11.Mechanism, p11.ObjectHandle) error
	Sign(p11.SessionHandle, []byte) ([]byte, error)
	EncryptInit(p11.SessionHandle, []*p11.Mechanism, p11.ObjectHandle) error
	Encrypt(p11.SessionHandle, []byte) ([]byte, error)
	DecryptInit(p11.SessionHandle, []*p11.Mechanism, p11.ObjectHandle) error
	Decrypt(p11.SessionHandle, []byte) ([]byte, error)
}
