package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"strongroom/backup"
	"strongroom/client"
	"strongroom/cmd/internal/folder"
	"strongroom/cmd/internal/mount"
	"strongroom/cmd/internal/terminal"
	"strongroom/protocol/wire"
	"strongroom/store"
)

// Exit codes, documented in --help and README.
const (
	exitOK          = 0
	exitFailure     = 1
	exitUsage       = 2
	exitWrong       = 3 // wrong password or key
	exitNoRecord    = 4 // destroyed, exhausted, deleted, never there
	exitUnreachable = 5 // the vault; no guess used
	exitStorage     = 6
	exitDamage      = 7
	exitWarnings    = 8
	exitUnknown     = 9
	exitToken       = 10
	exitPin         = 11
	exitWait        = 12 // the next attempt must wait; no guess used
)

// story is an error as a person wants it told, and a program too.
type story struct {
	Code     int    `json:"code"`
	Kind     string `json:"kind"`
	Happened string `json:"happened"`
	Lost     string `json:"lost,omitempty"`
	Do       string `json:"next,omitempty"`
	*numbers
}

// numbers are what a story may tell to a program beside its sentences.
type numbers struct {
	Left *int   `json:"attemptsLeft,omitempty"`
	Wait string `json:"waitUntil,omitempty"` // RFC 3339: no attempt before
}

// usageError is a command line that can not be meant.
type usageError struct{ what string }

func (e *usageError) Error() string { return e.what }

// storyError carries a story that only the place of the error can tell.
type storyError struct{ story }

func (e *storyError) Error() string { return e.Happened }

// storageError: the storage failed.
type storageError struct{ cause error }

func (e *storageError) Error() string { return e.cause.Error() }
func (e *storageError) Unwrap() error { return e.cause }

const lostNothing = "nothing."

// explain finds the story of an error.
func explain(err error) story {
	var told *storyError
	if errors.As(err, &told) {
		return told.story
	}
	if s, ok := explainWrong(err); ok {
		return s
	}
	var wait *client.ErrWait
	if errors.As(err, &wait) {
		return story{exitWait, "wait", "after this many wrong passwords the next attempt must wait until " + clock(wait.Until()) + ".",
			"nothing. No attempt was used.", fmt.Sprintf("come back then. %s left of %d; use the time to think.",
				terminal.Count(int(wait.Status.Left), "attempt"), wait.Status.Limit), &numbers{Wait: wait.Until().Format(time.RFC3339)}}
	}
	for _, known := range stories {
		if errors.Is(err, known.is) {
			s := known.story
			if s.Happened == "" {
				s.Happened = sentence(err)
			}
			return s
		}
	}
	var usage *usageError
	if errors.As(err, &usage) {
		return story{Code: exitUsage, Kind: "usage", Happened: usage.what, Do: "strongroom --help shows the commands."}
	}
	var storage *storageError
	if errors.As(err, &storage) {
		return storageStory(err)
	}
	return story{Code: exitFailure, Kind: "failure", Happened: err.Error()}
}

// storageStory tells what a storage's failure means by its class.
func storageStory(err error) story {
	const again = " Then run the same command again: it goes on where it stopped."
	switch store.ClassOf(err) {
	case store.Refused:
		return story{exitStorage, "storage-refused", "the storage refuses: " + err.Error(), lostNothing, "see to what it names: the address, the key or login, its rights." + again, nil}
	case store.Full:
		return story{exitStorage, "storage-full", "the storage is full: " + err.Error(), "nothing: every earlier backup is whole, this one is absent.", "make room there, or get more." + again, nil}
	case store.Temporary:
		return story{exitStorage, "storage", "the storage does not answer: " + err.Error(), lostNothing, "check the address and the connection." + again, nil}
	}
	return story{exitStorage, "storage", "the storage failed: " + err.Error(), lostNothing, "strongroom store check URL tells more of the storage." + again, nil}
}

func explainWrong(err error) (story, bool) {
	var wrong *client.ErrWrongPassword
	if !errors.As(err, &wrong) {
		return story{}, false
	}
	s := story{Code: exitWrong, Kind: "wrong-password", numbers: &numbers{Left: &wrong.AttemptsLeft}, Lost: "nothing, but one attempt."}
	if wrong.AttemptsLeft == 0 {
		s.Happened = "wrong password. That was the last attempt: the vault now destroys its copy of the key."
		s.Lost = "the way back by password, for ever. The backup itself is untouched."
		s.Do = "a device that still has the key (strongroom key), or a 64-digit key on paper, still opens the backup."
		return s, true
	}
	s.Happened = fmt.Sprintf("wrong password. %s left of %d.", terminal.Count(wrong.AttemptsLeft, "attempt"), wrong.Status.Limit)
	s.Do = "think, then try again. After the last wrong one the vault destroys its copy of the key."
	if until := waitUntil(wrong.Status); !until.IsZero() {
		s.numbers.Wait = until.Format(time.RFC3339)
		s.Do = "think. The vault takes the next attempt at " + clock(until) + "; after the last wrong one it destroys its copy of the key."
	}
	return s, true
}

// waitUntil is when the next attempt may be made, zero for at once.
func waitUntil(s wire.StatusReport) time.Time {
	if s.WaitUntilMillis == 0 {
		return time.Time{}
	}
	return (&client.ErrWait{Status: s}).Until()
}

// clock is a time of today as people say it, or with its day.
func clock(t time.Time) string {
	t = t.Local()
	if y, m, d := t.Date(); time.Date(y, m, d, 0, 0, 0, 0, time.Local).Equal(today()) {
		return t.Format("15:04")
	}
	return t.Format("15:04 on 2 January")
}

func today() time.Time {
	y, m, d := time.Now().Date()
	return time.Date(y, m, d, 0, 0, 0, 0, time.Local)
}

// stories by error, the more special first.
var stories = []struct {
	is error
	story
}{
	{client.ErrDestroyed, story{exitNoRecord, "destroyed", "the vault destroyed its copy of the key: all attempts were used up with wrong passwords.",
		"the way back by password, for ever. The backup itself is untouched.",
		"a device that still has the key can protect it anew (strongroom password), and a 64-digit key on paper still opens the backup.", nil}},
	{client.ErrExhausted, story{exitNoRecord, "exhausted", "no attempt is left. The last one is still open on the device that made it.",
		"nothing yet: if that attempt had the right password, it still wins.", "finish on that device, or wait two minutes and look again (strongroom status).", nil}},
	{client.ErrNoRecord, story{exitNoRecord, "no-record", "the vault keeps no key for this account.", lostNothing,
		"check the account's name and the vault on the recovery card. If you chose the 64-digit key, restore with --by key.", nil}},
	{client.ErrLifetime, story{exitNoRecord, "lifetime", "this account made all the wrong attempts of its lifetime, and this is not the key that it was first registered with.", lostNothing,
		"a device that has that first key can protect it anew (strongroom password). Otherwise use another account, or the 64-digit key.", nil}},
	{client.ErrArriving, story{exitFailure, "arriving", "a registration of this account waits at the vault's new machines, and was not made with this key.", lostNothing,
		"if it is yours, a device that has its key brings it on (strongroom password). If not, somebody has your account's tokens: tell your service; after the vault's reset delay (strongroom status) your device can take its place.", nil}},
	{client.ErrLayout, story{exitPin, "layout", "the vault shows an older list of its machines than this device, or one of them, has seen before.", "nothing, and no attempt.",
		"try again in a minute: one of its relays may not have the newest yet. If it stays, tell the vault's operator: somebody may stand between you and your vault.", nil}},
	{client.ErrPending, story{exitFailure, "reset-pending", "another reset or deletion of this account waits in the vault already.", lostNothing,
		"strongroom status shows until when. If it is yours, run strongroom enable again after that time.", nil}},
	{client.ErrLive, story{exitFailure, "live", "the vault already keeps a key for this account, from another device or an earlier setup.", lostNothing,
		"to get that backup, run strongroom restore. To protect a second store, use another account. If its password and key are both lost: strongroom enable --reset.", nil}},
	{client.ErrOwner, story{exitFailure, "owner", "the vault's record for this account belongs to another backup key.", lostNothing,
		"run strongroom restore with that record's password, or use another account.", nil}},
	{errRightButLost, story{exitUnknown, "answer-lost", "the password was right, but the vault's last answer got lost on the way.", "nothing.",
		"run the same command again when the connection is better: it goes on with this attempt, free of charge and without the password.", nil}},
	{client.ErrOutcomeUnknown, story{exitUnknown, "outcome-unknown", "the vault's answer got lost on the way. It may have done what it was asked for.",
		"nothing on this machine. If a password was tried, one attempt may have been used.", "strongroom status shows what the vault holds now; then run the same command again.", nil}},
	{client.ErrTokenRefused, story{exitToken, "token", "the vault refused the account's token: it is expired, or for another vault or account.",
		"nothing. No attempt was used.", "get a new token file from your service and run the command again.", nil}},
	{client.ErrTokens, story{exitToken, "tokens", "", "nothing. No attempt was used.", "give the token file that your service made for you: --tokens FILE.", nil}},
	{client.ErrUnsigned, story{exitFailure, "unsigned", "this vault's fleet was made without a key that signs statuses.", lostNothing,
		"strongroom status shows the same without a signature; a fleet that is made today signs.", nil}},
	{client.ErrEvidence, story{exitPin, "evidence", "", lostNothing, "do not believe what the file says. Compare the pin with the recovery card, and ask for the file again.", nil}},
	{client.ErrPin, story{exitPin, "pin", "", "nothing. Nothing was sent.",
		"do not go on. Compare the pin with the recovery card; if it is right, somebody stands between you and your vault.", nil}},
	{client.ErrUnreachable, story{exitUnreachable, "vault-unreachable", "", "nothing. No attempt was used.", "check the connection and the address, then try again.", nil}},
	{client.ErrRaced, story{exitFailure, "raced", "another device changed the record at the same time.", lostNothing, "run the command again.", nil}},
	{client.ErrSealedKey, story{exitFailure, "tampered", "the password is right, but what the vault handed out is not what was put in.", "nothing here; the vault's copy is not to be trusted.",
		"use the 64-digit key or another device, and tell the vault's operator.", nil}},
	{client.ErrPasswordWeak, story{exitUsage, "weak-password", "", "", "choose another one: three or four words that do not belong together are good.", nil}},
	{client.ErrPasswordText, story{exitUsage, "password", "", "", "choose another one.", nil}},
	{client.ErrKeyText, story{exitWrong, "key-text", "", lostNothing, "compare it with your paper, group by group. Nothing counts the tries here.", nil}},
	{backup.ErrWrongKey, story{exitWrong, "wrong-key", "this key does not open this backup.", lostNothing,
		"compare every group with your paper. One or two wrong digits would have been put right, so more is wrong, or it is another backup's key.", nil}},
	{backup.ErrNoRepository, story{exitStorage, "no-backup", "there is no backup at this place.", lostNothing, "check the address on the recovery card, and that the disk is mounted.", nil}},
	{mount.ErrMount, story{exitFailure, "mount", "", lostNothing, "strongroom ls lists a backup, and strongroom restore --path gets files out of it, without a mount.", nil}},
	{backup.ErrIncomplete, story{exitDamage, "incomplete", "", "nothing: nothing was removed.",
		"strongroom check names what is damaged. Back up again from a machine that has the files, or forget the damaged backups by name; then prune.", nil}},
	{backup.ErrAbandoned, story{exitFailure, "abandoned", "this took days without a word, and another machine took it for abandoned.", "nothing: what was sent is used next time.",
		"run the same command again.", nil}},
	{backup.ErrDamaged, story{exitDamage, "damaged", "", "what is named above; everything else is whole.", "strongroom check --read-data lists all damage; back up again to replace it.", nil}},
	{backup.ErrTarget, story{exitFailure, "target", "", "nothing: the backup is untouched, and what was restored whole stays.",
		"make room there or choose another folder, then run the same command again: it goes on where it stopped.", nil}},
	{backup.ErrState, story{exitFailure, "data-folder", "", lostNothing, "make room for strongroom's data folder or let it be written, then run the same command again.", nil}},
	{folder.ErrEmpty, story{exitFailure, "not-enabled", "", "", "strongroom enable sets up a new backup; strongroom restore gets an old one back.", nil}},
	{folder.ErrInUse, story{exitFailure, "in-use", "", "", "wait for it to finish.", nil}},
	{terminal.ErrNoAnswer, story{exitUsage, "no-answer", "something is missing on the command line, and there is no terminal to ask on.", "", "strongroom COMMAND --help shows the options.", nil}},
	{context.Canceled, story{exitFailure, "stopped", "stopped.", lostNothing, "run the same command again: it goes on where it stopped.", nil}},
}

// sentence is an error's text as a sentence.
func sentence(err error) string {
	s := err.Error()
	if s != "" && s[len(s)-1] != '.' {
		s += "."
	}
	return s
}
