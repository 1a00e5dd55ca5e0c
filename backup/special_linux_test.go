package backup

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"strongroom/store/mem"
)

func statOf(t *testing.T, path string) *syscall.Stat_t {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t)
}

// A 50 GB file with a little in it: neither its holes nor its size cost
// anything, in memory, in the storage, or on the disk that it comes back to.
func TestSparseFileStaysSparse(t *testing.T) {
	const sizeBytes = 50 << 30
	root, st := plain(t, "beside"), mem.New()
	path := filepath.Join(root, "disk.img")
	f, err := os.Create(path)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(err)
	written := map[int64][]byte{0: []byte("begin"), 7<<30 + 5: bytes.Repeat([]byte("middle"), 300_000), sizeBytes - 3: []byte("end")}
	for at, b := range written {
		_, err := f.WriteAt(b, at)
		must(err)
	}
	must(f.Close())
	r := mustCreate(t, st)
	exactHeap(t)
	before, held := heldBytes(), int64(0)
	report, err := r.Backup(t.Context(), []string{root}, BackupOptions{StateDir: t.TempDir(), Progress: func(p Progress) {
		if p.Phase == PhaseFinish && held == 0 {
			held = heldBytes() - before
		}
	}})
	must(err)
	const heldMax = 8 << 20 // 32 bytes for each of 51,200 parts a few times
	if held == 0 || held > heldMax || report.BytesRead > 16<<20 || report.BytesSent > 4<<20 {
		t.Errorf("%d bytes of memory held, %+v", held, report)
	}
	target := t.TempDir()
	restored, err := r.Restore(t.Context(), "latest", target, RestoreOptions{Verify: true})
	must(err)
	copied := filepath.Join(target, "data", "disk.img")
	if s := statOf(t, copied); s.Size != sizeBytes || s.Blocks*512 > 16<<20 {
		t.Errorf("%d bytes in %d blocks", s.Size, s.Blocks)
	}
	g, err := os.Open(copied)
	must(err)
	defer g.Close()
	for at, want := range written {
		got := make([]byte, len(want))
		_, err := g.ReadAt(got, at)
		must(err)
		if !bytes.Equal(got, want) {
			t.Errorf("at %d: %.20q", at, got)
		}
	}
	if restored.Bytes != sizeBytes+int64(len("beside")) {
		t.Errorf("%+v", restored)
	}
	again, err := r.Restore(t.Context(), "latest", target, RestoreOptions{})
	if err != nil || again.Files != 0 {
		t.Errorf("%+v %v", again, err)
	}
}

// Zeros that are written, and holes smaller than a part, come back as zeros.
func TestSmallHolesComeBack(t *testing.T) {
	root, st := plain(t, "x"), mem.New()
	path := filepath.Join(root, "f")
	content := make([]byte, 5<<20+77)
	for _, at := range []int{0, 64<<10 - 1, 300 << 10, 1<<20 + 5, 3 << 20, 5<<20 + 76} {
		content[at] = 1
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	r := mustCreate(t, st)
	mustBackup(t, r, t.TempDir(), root)
	target := mustRestore(t, r, "latest", "")
	got, err := os.ReadFile(filepath.Join(target, "data", "f"))
	if err != nil || !bytes.Equal(got, content) {
		t.Fatal("differs", len(got), err)
	}
	if s := statOf(t, filepath.Join(target, "data", "f")); s.Blocks*512 > 1<<20 {
		t.Errorf("%d blocks", s.Blocks)
	}
}

func TestHardLinksAreOneFileAgain(t *testing.T) {
	root, st, state := plain(t, "a/first", "alone"), mem.New(), t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.MkdirAll(filepath.Join(root, "b"), 0o755))
	must(os.Link(filepath.Join(root, "a/first"), filepath.Join(root, "b/second")))
	must(os.Link(filepath.Join(root, "a/first"), filepath.Join(root, "third")))
	must(os.Link(filepath.Join(root, "alone"), filepath.Join(t.TempDir(), "outside")))
	held := takeShadow(t, root)
	r := mustCreate(t, st)
	for range 2 { // what the local state tells is as good
		if report := mustBackup(t, r, state, root); report.Files != 4 {
			t.Errorf("%+v", report)
		}
		target := mustRestore(t, r, "latest", "")
		got := filepath.Join(target, "data")
		wantSame(t, held, takeShadow(t, got))
		one := statOf(t, filepath.Join(got, "a/first"))
		if two, three := statOf(t, filepath.Join(got, "b/second")), statOf(t, filepath.Join(got, "third")); one.Nlink != 3 || one.Ino != two.Ino || one.Ino != three.Ino {
			t.Errorf("%d links of %d, %d, %d", one.Nlink, one.Ino, two.Ino, three.Ino)
		}
		if n := statOf(t, filepath.Join(got, "alone")).Nlink; n != 1 {
			t.Errorf("alone has %d links", n)
		}
		again, err := r.Restore(t.Context(), "latest", target, RestoreOptions{})
		if err != nil || again.Files != 0 || again.FilesKept != 4 {
			t.Errorf("%+v %v", again, err)
		}
		changeSeen(t, r, state, func(f *seen) { f.Racy = false })
	}
	// The first of them may be left out.
	target := t.TempDir()
	_, err := r.Restore(t.Context(), "latest", target, RestoreOptions{Include: []string{"data/b", "data/third"}})
	must(err)
	if two := statOf(t, filepath.Join(target, "data/b/second")); two.Nlink != 2 {
		t.Errorf("%d links", two.Nlink)
	}
}

func TestExtendedAttributesComeBack(t *testing.T) {
	root, st, state := plain(t, "f", "d/g"), mem.New(), t.TempDir()
	// An access list as the kernel keeps it (linux/posix_acl_xattr.h): version 2,
	// then tag, permissions, id; one named user may read.
	acl := []byte("\x02\x00\x00\x00" + "\x01\x00\x06\x00\xff\xff\xff\xff" + "\x02\x00\x04\x00\xe8\x03\x00\x00" + "\x04\x00\x00\x00\xff\xff\xff\xff" + "\x10\x00\x04\x00\xff\xff\xff\xff" + "\x20\x00\x00\x00\xff\xff\xff\xff")
	want := map[string]map[string][]byte{
		"f": {"user.note": []byte("odd \x00\xff bytes"), "user.empty": {}, "system.posix_acl_access": acl},
		"d": {"user.folder": []byte("yes")},
	}
	if os.Geteuid() == 0 {
		want["d/g"] = map[string][]byte{"security.capability": []byte("\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00")}
	}
	for name, all := range want {
		for key, value := range all {
			if err := unix.Setxattr(filepath.Join(root, name), key, value, 0); err != nil {
				t.Fatal(name, key, err)
			}
		}
	}
	held := takeShadow(t, root)
	r := mustCreate(t, st)
	for range 2 {
		mustBackup(t, r, state, root)
		target := mustRestore(t, r, "latest", "")
		wantSame(t, held, takeShadow(t, filepath.Join(target, "data")))
		for name, all := range want {
			for key, value := range all {
				got := make([]byte, 256)
				n, err := unix.Getxattr(filepath.Join(target, "data", name), key, got)
				if err != nil || !bytes.Equal(got[:n], value) {
					t.Errorf("%s %s: %q %v", name, key, got[:max(n, 0)], err)
				}
			}
		}
	}
	if err := unix.Setxattr(filepath.Join(root, "f"), "user.huge", bytes.Repeat([]byte("x"), 3000), 0); err != nil {
		t.Fatal(err)
	}
	if report := mustBackup(t, r, state, root); report.FilesChanged != 0 {
		t.Errorf("%+v", report)
	}
	target := mustRestore(t, r, "latest", "")
	if n, err := unix.Getxattr(filepath.Join(target, "data", "f"), "user.huge", nil); n != 3000 {
		t.Error("a new attribute of a file with the same content was not seen", n, err)
	}
}

// What is no file is named, and nothing waits for it.
func TestWhatIsNoFileIsNamed(t *testing.T) {
	root, st := plain(t, "f"), mem.New()
	if err := unix.Mkfifo(filepath.Join(root, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	kinds := "pipe"
	if os.Geteuid() == 0 {
		if err := unix.Mknod(filepath.Join(root, "null"), unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3))); err != nil {
			t.Fatal(err)
		}
		kinds = "device pipe"
	}
	r := mustCreate(t, st)
	report, err := r.Backup(t.Context(), []string{root}, BackupOptions{StateDir: t.TempDir()})
	if err != nil || len(report.Warnings) != len(strings.Fields(kinds)) || report.Files != 1 {
		t.Fatalf("%+v %v", report, err)
	}
	for i, kind := range strings.Fields(kinds) {
		if !strings.Contains(report.Warnings[i].What, kind) {
			t.Error(report.Warnings[i])
		}
	}
}
