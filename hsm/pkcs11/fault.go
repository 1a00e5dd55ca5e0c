//go:build pkcs11 && cgo

package pkcs11

import (
	"errors"
	"fmt"
	"slices"

	p11 "github.com/miekg/pkcs11"

	"strongroom/vault/hal"
)

// callError is what a call of the module answered. Vendors, SoftHSM2 first,
// say CKR_GENERAL_ERROR to many different faults, so the call is named.
type callError struct {
	call string
	code p11.Error
	lost bool // its session was found dead afterwards
}

func (e *callError) Error() string {
	return fmt.Sprintf("pkcs11: the token answers %s with %s", e.call, e.code.Error())
}

// answered names the call of an error of the module.
func answered(call string, err error) error {
	var code p11.Error
	if errors.As(err, &code) {
		return &callError{call: call, code: code}
	}
	return err // nil, or the binding's own
}

func codeOf(err error) (p11.Error, bool) {
	var e *callError
	if errors.As(err, &e) {
		return e.code, true
	}
	return 0, false
}

func isCode(err error, codes ...p11.Error) bool {
	code, found := codeOf(err)
	return found && slices.Contains(codes, code)
}

// lost: the session, the login or the handles are no more.
func lost(err error) bool {
	var e *callError
	return errors.As(err, &e) && (e.lost || slices.Contains(lostCodes, e.code))
}

var lostCodes = []p11.Error{
	p11.CKR_SESSION_HANDLE_INVALID, p11.CKR_SESSION_CLOSED, p11.CKR_USER_NOT_LOGGED_IN,
	p11.CKR_KEY_HANDLE_INVALID, p11.CKR_OBJECT_HANDLE_INVALID, p11.CKR_WRAPPING_KEY_HANDLE_INVALID,
	p11.CKR_UNWRAPPING_KEY_HANDLE_INVALID, p11.CKR_OPERATION_NOT_INITIALIZED, p11.CKR_OPERATION_ACTIVE,
}

// autopsy looks whether the session of a failed call is dead. One that dies
// within a call makes SoftHSM2 answer CKR_GENERAL_ERROR or CKR_FUNCTION_FAILED.
func (s *session) autopsy(err error) {
	var e *callError
	if errors.As(err, &e) && !lost(err) && meaning(err) == nil {
		e.lost = !s.loggedIn()
	}
}

// meaning gives the error of the contract for an answer, nil if the answer
// alone does not tell.
func meaning(err error) error {
	code, _ := codeOf(err)
	switch code {
	case p11.CKR_TOKEN_NOT_PRESENT, p11.CKR_TOKEN_NOT_RECOGNIZED, p11.CKR_DEVICE_REMOVED, p11.CKR_DEVICE_ERROR,
		p11.CKR_SLOT_ID_INVALID, p11.CKR_CRYPTOKI_NOT_INITIALIZED:
		return hal.ErrGone
	case p11.CKR_DEVICE_MEMORY, p11.CKR_HOST_MEMORY, p11.CKR_SESSION_COUNT:
		return hal.ErrFull
	case p11.CKR_PIN_INCORRECT, p11.CKR_PIN_INVALID, p11.CKR_PIN_LEN_RANGE, p11.CKR_PIN_LOCKED,
		p11.CKR_PIN_EXPIRED, p11.CKR_USER_PIN_NOT_INITIALIZED:
		return hal.ErrSecret
	}
	return nil
}

// advice is what to do about a code, "" if nothing sure is known.
func advice(err error) string {
	code, _ := codeOf(err)
	switch code {
	case p11.CKR_PIN_LOCKED:
		return ". Too many wrong PINs locked it: unlock it with the vendor's tool and the security officer's PIN"
	case p11.CKR_PIN_EXPIRED, p11.CKR_USER_PIN_NOT_INITIALIZED:
		return ". Set the user's PIN with the vendor's tool"
	case p11.CKR_MECHANISM_INVALID, p11.CKR_MECHANISM_PARAM_INVALID:
		return ". The token does not know this mechanism in this use; a vendor's other number for AES key wrap can be set"
	case p11.CKR_TOKEN_WRITE_PROTECTED:
		return ". Take its write protection off"
	}
	return ""
}
