package channel

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"io"
)

// sealAnswer is the response of RFC 9458 §4.4: a fresh nonce for each answer,
// salted together with what the request began with, gives key and nonce.
//
//	answer = header || response_nonce || AES-256-GCM(padded plaintext)
func sealAnswer(rand io.Reader, secret [secretBytes]byte, enc, plaintext []byte, k Kind) ([]byte, error) {
	padded, err := pad(plaintext, answerBytes)
	if err != nil {
		return nil, err
	}
	nonce, err := draw(rand, nonceBytes)
	if err != nil {
		return nil, err
	}
	aead, iv, err := answerKey(secret, enc, nonce)
	if err != nil {
		return nil, err
	}
	return aead.Seal(append(header(k), nonce...), iv, padded, header(k)), nil
}

func openAnswer(secret [secretBytes]byte, enc, sealed []byte, k Kind) ([]byte, error) {
	if kind, err := KindOf(sealed); err != nil || kind != k || len(sealed) < frameHeader+nonceBytes+tagBytes {
		return nil, ErrSealed
	}
	nonce, body := sealed[frameHeader:][:nonceBytes], sealed[frameHeader+nonceBytes:]
	aead, iv, err := answerKey(secret, enc, nonce)
	if err != nil {
		return nil, err
	}
	padded, err := aead.Open(nil, iv, body, header(k))
	if err != nil {
		return nil, ErrSealed
	}
	return unpad(padded, answerBytes)
}

// answerKey is the key schedule of RFC 9458 §4.4.
func answerKey(secret [secretBytes]byte, enc, nonce []byte) (cipher.AEAD, []byte, error) {
	prk, err := hkdf.Extract(sha256.New, secret[:], append(append([]byte{}, enc...), nonce...))
	if err != nil {
		return nil, nil, err
	}
	key, err := hkdf.Expand(sha256.New, prk, "key", 32)
	if err != nil {
		return nil, nil, err
	}
	iv, err := hkdf.Expand(sha256.New, prk, "nonce", 12)
	if err != nil {
		return nil, nil, err
	}
	aead, err := gcm(key)
	return aead, iv, err
}
