package tpm

import (
	"errors"
	"fmt"
	"slices"

	"github.com/google/go-tpm/tpm2"

	"strongroom/vault/hal"
)

// What a response code (TPM 2.0 Part 2 §6.6) means to the vault.
var (
	codesFull   = append([]tpm2.TPMRC{tpm2.TPMRCNVSpace, tpm2.TPMRCMemory}, codesCrowd...)
	codesSecret = []tpm2.TPMRC{
		tpm2.TPMRCAuthFail, tpm2.TPMRCBadAuth, tpm2.TPMRCAuthMissing, tpm2.TPMRCAuthUnavailable,
		tpm2.TPMRCHierarchy, tpm2.TPMRCDisabled,
	}
	codesGone = []tpm2.TPMRC{
		tpm2.TPMRCFailure, tpm2.TPMRCInitialize, tpm2.TPMRCNVUnavailable, tpm2.TPMRCReboot, tpm2.TPMRCUpgrade,
		tpm2.TPMRCRetry, tpm2.TPMRCYielded, tpm2.TPMRCTesting,
	}
	// What an index that is there and ours never gives.
	codesIndex = []tpm2.TPMRC{tpm2.TPMRCNVAuthorization, tpm2.TPMRCNVLocked, tpm2.TPMRCNVRange, tpm2.TPMRCNVUninitialized}
	// Too much is loaded. Over a socket it is what another connection left.
	codesCrowd = []tpm2.TPMRC{tpm2.TPMRCObjectMemory, tpm2.TPMRCSessionMemory, tpm2.TPMRCObjectHandles, tpm2.TPMRCSessionHandles}
	// Somebody took out of the TPM what this connection had put there.
	codesStale = []tpm2.TPMRC{
		tpm2.TPMRCReferenceH0, tpm2.TPMRCReferenceH1, tpm2.TPMRCReferenceS0, tpm2.TPMRCReferenceS1, tpm2.TPMRCReferenceS2,
	}
)

func is(err error, codes []tpm2.TPMRC) bool {
	return slices.ContainsFunc(codes, func(c tpm2.TPMRC) bool { return errors.Is(err, c) })
}

// answered says whether err is a code with which the TPM answered. Anything
// else, such as a response whose HMAC is wrong, is a fault of the way to it.
func answered(err error) bool {
	var rc tpm2.TPMRC
	return errors.As(err, &rc)
}

// ours are errors that say all there is to say.
var ours = []error{
	hal.ErrGone, hal.ErrFull, hal.ErrSecret, hal.ErrPoint, hal.ErrWrapped, hal.ErrSealed, hal.ErrGroup,
	hal.ErrNoKey, hal.ErrKeyExists, hal.ErrTorn, hal.ErrTaken, ErrExists, ErrFile, ErrOther, ErrTooLarge, ErrName, ErrLocked, errSave, errUnfit, errPlaintext,
}

func known(err error) bool {
	return slices.ContainsFunc(ours, func(e error) bool { return errors.Is(err, e) })
}

// lost says whether another connection may help.
func lost(err error) bool {
	return err != nil && !known(err) && (!answered(err) || is(err, codesStale))
}

// explain gives err the name that the contract has for it, and a sentence.
func explain(err error) error {
	switch {
	case err == nil || known(err):
		return err
	case errors.Is(err, tpm2.TPMRCLockout):
		return fmt.Errorf("%w: the TPM is locked after too many wrong passwords of somebody. Nothing was changed; wait, or reset the lock with the lockout password (tpm2_dictionarylockout --clear-lockout): %w", hal.ErrSecret, err)
	case is(err, codesSecret):
		return fmt.Errorf("%w: the TPM refuses the owner's password, or the owner hierarchy is off. Nothing was changed; give the password that the TPM's owner set: %w", hal.ErrSecret, err)
	case errors.Is(err, tpm2.TPMRCNVSpace):
		return fmt.Errorf("%w: the TPM has no room for what the vault keeps in it (two NV indexes of %d bytes, and one of %d for each epoch key). Nothing was changed; remove indexes that nobody needs (tpm2_nvundefine): %w", hal.ErrFull, slotBytes, epochBytes, err)
	case is(err, codesFull):
		return fmt.Errorf("%w: too much is loaded in the TPM. Nothing was changed; use the resource manager's device (/dev/tpmrm0): %w", hal.ErrFull, err)
	case errors.Is(err, tpm2.TPMRCNVRate):
		return fmt.Errorf("%w: the TPM slows writes to its memory down to spare it, and did not begin this one. Nothing was changed; the vault writes too often for this TPM: %w", hal.ErrGone, err)
	case is(err, codesGone) || is(err, codesStale) || !answered(err):
		return fmt.Errorf("%w: %w", hal.ErrGone, err)
	}
	return fmt.Errorf("tpm: the TPM refuses: %w", err)
}

// aboutParameter says whether the TPM found fault with what was given to it,
// not with handles, passwords or room.
func aboutParameter(err error) bool {
	if errors.Is(err, tpm2.TPMRCSensitive) {
		return true
	}
	var e tpm2.TPMFmt1Error
	if !errors.As(err, &e) {
		return false
	}
	handle, at := e.Handle()
	session, _ := e.Session()
	return !session && (!handle || at == 0)
}
