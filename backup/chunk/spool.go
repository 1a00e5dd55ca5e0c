package chunk

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"sync"

	"strongroom/backup/pack"
)

// Block is a group of pages on its way to the packs.
type Block struct {
	ID   pack.ID
	Data []byte
}

// spoolMemoryBytes is what a Spool holds in memory before it takes to disk.
const spoolMemoryBytes = 4 << 20

// Spool hands blocks from a scan to an upload without ever making the scan
// wait for the network: what does not fit in memory goes to an unnamed file
// in folder, which never holds more than the scan's changed pages. One
// goroutine puts, one takes.
type Spool struct {
	folder string

	mu     sync.Mutex
	more   *sync.Cond
	memory []Block  // guarded by mu: older than what is on disk
	bytes  int      // guarded by mu: in memory
	lent   []byte   // guarded by mu: the taker's, until he comes again
	spare  [][]byte // guarded by mu: to be used again, so that a scan leaves no garbage
	file   *os.File // guarded by mu
	wrote  int64    // guarded by mu: offset in file
	read   int64    // guarded by mu
	closed bool     // guarded by mu: no more puts
	broken error    // guarded by mu: the taker gave up
}

// NewSpool starts empty; Close it when the taker is done.
func NewSpool(folder string) *Spool {
	s := &Spool{folder: folder}
	s.more = sync.NewCond(&s.mu)
	return s
}

// Put hands a copy of the block over. Where the disk does not take it, it
// waits for room in memory: slower, nothing lost.
func (s *Spool) Put(b Block) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fits(b) || !s.toDisk(b) {
		for !s.fits(b) && s.broken == nil {
			s.more.Wait()
		}
		data := s.buffer(len(b.Data))
		copy(data, b.Data)
		s.memory = append(s.memory, Block{b.ID, data})
		s.bytes += len(b.Data)
	}
	s.more.Broadcast()
	return s.broken
}

// buffer gives memory for a block; all of it has room for the largest, so
// that any serves again. s.mu is held.
func (s *Spool) buffer(n int) []byte {
	last := len(s.spare) - 1
	if last < 0 || n > pack.SegmentBytesMax {
		return make([]byte, n, max(n, pack.SegmentBytesMax))
	}
	b := s.spare[last]
	s.spare = s.spare[:last]
	return b[:n]
}

// fits tells whether a block may go to memory: order is kept only while
// nothing waits on disk.
func (s *Spool) fits(b Block) bool {
	return s.read == s.wrote && (s.bytes == 0 || s.bytes+len(b.Data) <= spoolMemoryBytes)
}

const blockHead = len(pack.ID{}) + 4

func (s *Spool) toDisk(b Block) bool {
	if s.file == nil {
		f, err := os.CreateTemp(s.folder, "spool-*")
		if err != nil {
			return false
		}
		os.Remove(f.Name()) // what it holds goes with the process
		s.file = f
	}
	head := binary.BigEndian.AppendUint32(append([]byte(nil), b.ID[:]...), uint32(len(b.Data)))
	if _, err := s.file.WriteAt(head, s.wrote); err != nil {
		return false
	}
	if _, err := s.file.WriteAt(b.Data, s.wrote+int64(blockHead)); err != nil {
		return false
	}
	s.wrote += int64(blockHead + len(b.Data))
	return true
}

// End says that all blocks were put.
func (s *Spool) End() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.more.Broadcast()
}

// Break makes every Put fail with err: the taker will take no more.
func (s *Spool) Break(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil && s.broken == nil {
		s.broken = err
	}
	s.more.Broadcast()
}

// Take gives the next block, in the order of the puts; io.EOF after End. Its
// bytes are the taker's until the next Take.
func (s *Spool) Take() (Block, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lent != nil {
		s.spare, s.lent = append(s.spare, s.lent), nil
	}
	for len(s.memory) == 0 && s.read == s.wrote && !s.closed {
		s.more.Wait()
	}
	switch {
	case len(s.memory) > 0:
		b := s.memory[0]
		s.memory = s.memory[1:]
		s.bytes -= len(b.Data)
		s.lent = b.Data
		s.more.Broadcast()
		return b, nil
	case s.read < s.wrote:
		return s.fromDisk()
	}
	return Block{}, io.EOF
}

func (s *Spool) fromDisk() (b Block, err error) {
	var head [blockHead]byte
	if _, err := s.file.ReadAt(head[:], s.read); err != nil {
		return b, errors.Join(errors.New("chunk: spool file"), err)
	}
	b.ID = pack.ID(head[:len(b.ID)])
	b.Data = s.buffer(int(binary.BigEndian.Uint32(head[len(b.ID):])))
	s.lent = b.Data
	if _, err := s.file.ReadAt(b.Data, s.read+int64(blockHead)); err != nil {
		return b, errors.Join(errors.New("chunk: spool file"), err)
	}
	s.read += int64(blockHead + len(b.Data))
	if s.read == s.wrote {
		s.read, s.wrote = 0, 0 // the file is used again from its beginning
	}
	s.more.Broadcast()
	return b, nil
}

// Close frees the file.
func (s *Spool) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file != nil {
		s.file.Close()
	}
}
