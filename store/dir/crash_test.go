//go:build unix

package dir_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"strongroom/store"
	"strongroom/store/dir"
	"strongroom/store/storetest"
)

const (
	childMode   = "STRONGROOM_TEST_CHILD"
	childFolder = "STRONGROOM_TEST_FOLDER"
	kills       = 20
	childBytes  = 3 << 20
)

// The test program runs itself as the child that is killed or runs out of
// room.
func TestMain(m *testing.M) {
	switch os.Getenv(childMode) {
	case "write":
		writeForEver(os.Getenv(childFolder))
	case "full":
		writeWithoutRoom(os.Getenv(childFolder))
	default:
		os.Exit(m.Run())
	}
}

func child(mode, folder string) *exec.Cmd {
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), childMode+"="+mode, childFolder+"="+folder)
	command.Stderr = os.Stderr
	return command
}

// writeForEver puts objects and prints the name of each that was acknowledged.
func writeForEver(folder string) {
	s, err := dir.Open(folder)
	if err != nil {
		panic(err)
	}
	start := len(names(folder))
	for i := start; ; i++ {
		name := fmt.Sprintf("packs/%d/o-%d", i%3, i)
		if err := s.Put(background, name, storetest.Bytes(uint64(i), childBytes)); err != nil && !errors.Is(err, store.ErrExists) {
			panic(err)
		}
		fmt.Println(name)
	}
}

// Killed at any moment: what was acknowledged is there, what is there is
// whole, and a torn write is only a temporary file that nobody lists.
func TestKill(t *testing.T) {
	folder := t.TempDir()
	acknowledged, torn := map[string]bool{}, 0
	for round := range kills {
		command := child("write", folder)
		output, err := command.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		// The first acknowledgement starts the clock: on a slow machine too
		// every round has written something when it is killed.
		lines := bufio.NewReader(output)
		for first := true; ; first = false {
			line, err := lines.ReadString('\n')
			if err != nil {
				break
			}
			acknowledged[strings.TrimSuffix(line, "\n")] = true
			if first {
				time.AfterFunc(time.Duration(round)*time.Millisecond, func() { _ = command.Process.Kill() })
			}
		}
		_ = command.Wait()
		temps, _ := os.ReadDir(filepath.Join(folder, ".tmp"))
		torn = len(temps)
	}
	if len(acknowledged) < kills || torn == 0 {
		t.Fatalf("%d objects acknowledged, %d torn writes: too little happened", len(acknowledged), torn)
	}
	s := mustOpen(t, folder)
	listed := map[string]bool{}
	for info, err := range s.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		listed[info.Name] = true
		var number uint64
		var folder int
		if _, err := fmt.Sscanf(info.Name, "packs/%d/o-%d", &folder, &number); err != nil {
			t.Errorf("listed %s: %v", info.Name, err)
		}
		data, err := s.Get(t.Context(), info.Name, 0, -1)
		if err != nil || !bytes.Equal(data, storetest.Bytes(number, childBytes)) {
			t.Errorf("%s is not whole: %d bytes, %v", info.Name, len(data), err)
		}
	}
	for name := range acknowledged {
		if !listed[name] {
			t.Errorf("%s was acknowledged and is gone", name)
		}
	}
}

// writeWithoutRoom may write one MiB to a file and no more: the system cuts
// the write half way, as a full disk does.
func writeWithoutRoom(folder string) {
	signal.Ignore(syscall.SIGXFSZ)
	limit := syscall.Rlimit{Cur: 1 << 20, Max: 1 << 20}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		panic(err)
	}
	s, err := dir.Open(folder)
	if err != nil {
		panic(err)
	}
	fmt.Println(s.Put(background, "packs/too-much", make([]byte, 3<<20)))
	fmt.Println(s.Put(background, "packs/fits", make([]byte, 1000)))
}

func TestFullDisk(t *testing.T) {
	folder := t.TempDir()
	output, err := child("full", folder).Output()
	if err != nil {
		t.Fatal(err)
	}
	first, second, _ := strings.Cut(string(output), "\n")
	if !strings.Contains(first, "no room left in "+folder) || !strings.Contains(first, "nothing was kept") {
		t.Errorf("said %q, want that there is no room", first)
	}
	if second != "<nil>\n" {
		t.Errorf("a smaller object afterwards: %q", second)
	}
	if got := names(folder); fmt.Sprint(got) != "[packs/fits]" {
		t.Errorf("files %v, want packs/fits alone, no temporary ones", got)
	}
}

// Old temporary files go at Open; young ones may be another's work.
func TestSweep(t *testing.T) {
	folder := t.TempDir()
	temp := filepath.Join(folder, ".tmp")
	if err := os.MkdirAll(temp, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, age := range map[string]time.Duration{"put-old": 25 * time.Hour, "put-young": time.Hour} {
		path := filepath.Join(temp, name)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		when := time.Now().Add(-age)
		if err := os.Chtimes(path, when, when); err != nil {
			t.Fatal(err)
		}
	}
	mustOpen(t, folder)
	if got := names(folder); fmt.Sprint(got) != "[.tmp/put-young]" {
		t.Errorf("left %v, want .tmp/put-young alone", got)
	}
}

// names are the files below a folder, temporary ones too.
func names(folder string) []string {
	found := []string{}
	_ = filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			name, _ := filepath.Rel(folder, path)
			found = append(found, filepath.ToSlash(name))
		}
		return nil
	})
	return found
}
