package serve

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"unicode"
	"unicode/utf8"

	"strongroom/host/peer"
	"strongroom/protocol/wire"
)

// A box of an island of several has two files more in vault/: where the
// others are, and the key by which their nodes know this one.
const (
	IslandFileName = "island.json"
	NodeKeyName    = "node.key"
)

// IslandFileVersion is the version of IslandFile.
const IslandFileVersion = 1

// Limits of an island file.
const (
	islandFileBytesMax = 512 << 10
	boxNameBytesMax    = 64
	addressBytesMax    = 300
)

// ErrIslandFile: island.json does not say what is needed, or says it of
// another fleet.
var ErrIslandFile = errors.New(IslandFileName + " can not be used")

// IslandFile says where the nodes of an island's boxes are. It holds no secret,
// and nothing in it is believed by a box: a wrong one stops the service, no
// more.
type IslandFile struct {
	Version int         `json:"version"`          // 1
	Fleet   string      `json:"fleet"`            // the fleet's id, 32 hex digits
	Box     string      `json:"box"`              // whose data folder this is, 32 hex digits (wire.BoxID)
	Listen  string      `json:"listen,omitempty"` // HOST:PORT for the other nodes; "": the address of Box. --peer-listen goes first
	Boxes   []IslandBox `json:"boxes"`            // all of them, this one too, after Replacements

	// Replacements are the custodians' certificates (bundle.Replacement) of boxes
	// in the place of lost ones, in the order in which they took it.
	Replacements [][]byte `json:"replacements,omitempty"`
}

// IslandBox is one box of an island.
type IslandBox struct {
	Name    string `json:"name,omitempty"` // for people, in status and logs
	Box     string `json:"box"`            // wire.BoxID, 32 hex digits
	Address string `json:"address"`        // HOST:PORT at which its node listens for the others
	Pin     string `json:"pin"`            // of its node's key, 64 hex digits (peer.Pin)
}

// ParseIslandFile reads and validates one. Its error is ErrIslandFile.
func ParseIslandFile(text []byte) (*IslandFile, error) {
	if len(text) > islandFileBytesMax {
		return nil, fmt.Errorf("%w: it has %d bytes, at most %d", ErrIslandFile, len(text), islandFileBytesMax)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields() // a misspelt name must not be an address left out
	f := new(IslandFile)
	if err := d.Decode(f); err != nil {
		return nil, fmt.Errorf("%w: it does not parse%s: %w", ErrIslandFile, lineOf(text, err), err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("%w: it goes on after its JSON object", ErrIslandFile)
	}
	return f, f.validate()
}

// lineOf is where a syntax error is, for who has to mend it.
func lineOf(text []byte, err error) string {
	offset := int64(-1)
	if syntax, found := errors.AsType[*json.SyntaxError](err); found {
		offset = syntax.Offset
	} else if kind, found := errors.AsType[*json.UnmarshalTypeError](err); found {
		offset = kind.Offset
	}
	if offset < 0 || offset > int64(len(text)) {
		return ""
	}
	return fmt.Sprintf(" at line %d", 1+bytes.Count(text[:offset], []byte("\n")))
}

// ReadIslandFile reads that of a data folder. A folder without one is of an
// island of one box: nil, and no error.
func ReadIslandFile(data string) (*IslandFile, error) {
	text, err := os.ReadFile(inVault(data, IslandFileName))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrIslandFile, err)
	}
	return ParseIslandFile(text)
}

// Encode gives the file's bytes; its error is ErrIslandFile.
func (f *IslandFile) Encode() ([]byte, error) {
	if err := f.validate(); err != nil {
		return nil, err
	}
	text, err := json.MarshalIndent(f, "", "  ")
	return append(text, '\n'), err
}

func (f *IslandFile) validate() error {
	switch n := len(f.Boxes); {
	case len(f.Replacements) > wire.ReplacementsMax:
		return fmt.Errorf("%w: %d \"replacements\", where %d are allowed", ErrIslandFile, len(f.Replacements), wire.ReplacementsMax)
	case f.Version != IslandFileVersion:
		return fmt.Errorf("%w: version %d, this program knows %d", ErrIslandFile, f.Version, IslandFileVersion)
	case n != 3 && n != 5 && n != 7:
		return fmt.Errorf("%w: it names %d boxes, where 3, 5 or 7 are allowed", ErrIslandFile, n)
	}
	if _, err := f.fleet(); err != nil {
		return err
	}
	own, err := boxID(f.Box)
	if err != nil {
		return fmt.Errorf("%w: \"box\": %w", ErrIslandFile, err)
	}
	if f.Listen != "" {
		if err := validateAddress(f.Listen); err != nil {
			return fmt.Errorf("%w: \"listen\": %w", ErrIslandFile, err)
		}
	}
	seen := map[string]int{}
	for i, b := range f.Boxes {
		id, pin, err := b.parse()
		if err != nil {
			return fmt.Errorf("%w: box %d: %w", ErrIslandFile, i+1, err)
		}
		for _, key := range []string{"box " + id.String(), "pin " + pin.String(), "address " + b.Address} {
			if other := seen[key]; other != 0 {
				return fmt.Errorf("%w: boxes %d and %d have the same %s", ErrIslandFile, other, i+1, key)
			}
			seen[key] = i + 1
		}
	}
	if seen["box "+own.String()] == 0 {
		return fmt.Errorf("%w: its own box %s is not among \"boxes\"", ErrIslandFile, own)
	}
	return nil
}

func (f *IslandFile) fleet() (id wire.FleetID, err error) {
	b, err := hex.DecodeString(f.Fleet)
	if err != nil || len(b) != len(id) {
		return id, fmt.Errorf("%w: \"fleet\" must be %d hex digits (strongroomd fleet shows them)", ErrIslandFile, 2*len(id))
	}
	return wire.FleetID(b), nil
}

// ID is the box's. Its error says how one is written.
func (b IslandBox) ID() (wire.BoxID, error) { return boxID(b.Box) }

func (b IslandBox) parse() (id wire.BoxID, pin peer.Pin, err error) {
	if id, err = boxID(b.Box); err != nil {
		return id, pin, fmt.Errorf("\"box\": %w", err)
	}
	if pin, err = peer.ParsePin(b.Pin); err != nil {
		return id, pin, fmt.Errorf("\"pin\": %w", err)
	}
	if len(b.Name) > boxNameBytesMax || !utf8.ValidString(b.Name) || slices.ContainsFunc([]rune(b.Name), func(r rune) bool { return !unicode.IsPrint(r) }) {
		return id, pin, fmt.Errorf("\"name\" must be at most %d printable bytes", boxNameBytesMax)
	}
	if err := validateAddress(b.Address); err != nil {
		return id, pin, fmt.Errorf("\"address\": %w", err)
	}
	return id, pin, nil
}

func boxID(s string) (id wire.BoxID, err error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(id) || wire.BoxID(b) == (wire.BoxID{}) {
		return id, fmt.Errorf("a box is named by %d hex digits", 2*len(id))
	}
	return wire.BoxID(b), nil
}

func validateAddress(a string) error {
	_, port, err := net.SplitHostPort(a)
	if err != nil {
		return err
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || len(a) > addressBytesMax {
		return fmt.Errorf("%q is not HOST:PORT", a)
	}
	return nil
}

// MakeNodeKey writes a new node key to a file and gives its pin, which the
// others' island files name.
func MakeNodeKey(path string) (peer.Pin, error) {
	text, err := peer.GenerateKey()
	if err != nil {
		return peer.Pin{}, err
	}
	key, err := peer.ParseKey(text)
	if err != nil {
		return peer.Pin{}, err
	}
	return key.Pin, WriteDurable(path, text)
}
