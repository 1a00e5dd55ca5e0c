package tpm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/google/go-tpm/tpm2"
)

const (
	commandWaitDefault = 30 * time.Second // a TPM makes an ECC key in well under one second
	farewellWait       = 500 * time.Millisecond

	headerBytes      = 10 // of every response: tag, size, code (TPM 2.0 Part 1 §18)
	responseBytesMax = 4096

	// A busy TPM is asked again after 5 ms, 10 ms, ... 160 ms: a third of a second in all.
	busyRetriesMax = 6
	busyWaitFirst  = 5 * time.Millisecond
)

// errLost: the connection is of no use any more. What the last command did is
// not known.
var errLost = errors.New("tpm: the connection to the TPM is lost")

// errLate: it is lost because the TPM did not answer in time.
var errLate = fmt.Errorf("%w: it does not answer in time", errLost)

// link is one connection, for one caller at a time. It is a transport.TPM.
type link struct {
	conn   io.ReadWriteCloser
	socket bool
	wait   time.Duration
	stop   <-chan struct{} // closed: nobody waits for the TPM any more
	broken error
	locked bool // the device, for this vault's memory
}

// dial opens a unix socket that speaks raw TPM commands (swtpm) or a device.
func dial(path string, wait time.Duration, stop <-chan struct{}) (*link, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errLost, err)
	}
	l := &link{socket: info.Mode()&os.ModeSocket != 0, wait: wait, stop: stop}
	switch {
	case l.socket:
		l.conn, err = net.DialTimeout("unix", path, wait)
	case info.Mode()&os.ModeCharDevice != 0:
		l.conn, err = openDevice(path)
	default:
		err = errors.New("neither a device nor a unix socket")
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", errLost, path, err)
	}
	return l, nil
}

// lock has a vault's memory for this connection alone. A socket serves one at
// a time by itself.
func (l *link) lock(index uint32) error {
	f, device := l.conn.(*os.File)
	if !device || l.locked {
		return nil
	}
	err := lockDevice(f, index)
	l.locked = err == nil
	return err
}

// Send sends a command and gives its response. A TPM that did not start the
// command because it was busy is asked again, a few times.
func (l *link) Send(command []byte) ([]byte, error) {
	wait := busyWaitFirst
	for range busyRetriesMax {
		response, err := l.exchange(command)
		if err != nil || !busy(response) {
			return response, err
		}
		select {
		case <-time.After(wait):
			wait *= 2
		case <-l.stop:
			return nil, l.lose(errors.New("closed"))
		}
	}
	return l.exchange(command)
}

// busy tells the codes which say that nothing was begun (Part 2 §6.6.3).
func busy(response []byte) bool {
	switch tpm2.TPMRC(binary.BigEndian.Uint32(response[6:])) {
	case tpm2.TPMRCRetry, tpm2.TPMRCYielded, tpm2.TPMRCTesting, tpm2.TPMRCNVRate:
		return true
	}
	return false
}

// exchange waits for the TPM at most l.wait. When it gives up, the connection
// is lost with it: an answer that comes later must not pass for the next one.
func (l *link) exchange(command []byte) ([]byte, error) {
	if l.broken != nil {
		return nil, l.broken
	}
	type answer struct {
		response []byte
		err      error
	}
	answers := make(chan answer, 1)
	go func() {
		response, err := roundTrip(l.conn, l.socket, command)
		answers <- answer{response, err}
	}()
	late := time.NewTimer(l.wait)
	defer late.Stop()
	select {
	case a := <-answers:
		if a.err != nil {
			return nil, l.lose(a.err)
		}
		return a.response, nil
	case <-late.C:
		return nil, l.lose(errLate)
	case <-l.stop:
		return nil, l.lose(errors.New("closed"))
	}
}

func (l *link) lose(why error) error {
	l.broken = fmt.Errorf("%w: %w", errLost, why)
	_ = l.conn.Close()
	return l.broken
}

// roundTrip writes a command and reads one whole response. A device gives it
// in one read, a socket perhaps in pieces.
func roundTrip(conn io.ReadWriter, socket bool, command []byte) ([]byte, error) {
	if _, err := conn.Write(command); err != nil {
		return nil, err
	}
	response := make([]byte, responseBytesMax)
	first := headerBytes
	if !socket {
		first = len(response)
	}
	n, err := conn.Read(response[:first])
	for n < headerBytes && err == nil {
		var more int
		more, err = conn.Read(response[n:first])
		n += more
	}
	if n < headerBytes {
		return nil, fmt.Errorf("a response of %d bytes: %w", n, err)
	}
	size := int(binary.BigEndian.Uint32(response[2:]))
	if size < n || size > len(response) {
		return nil, fmt.Errorf("a response that says it has %d bytes", size)
	}
	if _, err := io.ReadFull(conn, response[n:size]); err != nil {
		return nil, err
	}
	return response[:size], nil
}
