package mount

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"strongroom/backup"
)

const (
	unmountTries = 10 // a second apart, while somebody uses it; then it goes once nobody does
	attrTimeout  = time.Hour
)

// Run mounts the repository's snapshots at dir, an empty folder, until ctx
// ends or somebody unmounts it. ready is called once it stands, note with what
// a person should know. ErrMount where it can not be mounted.
func Run(ctx context.Context, repo *backup.Repository, dir string, ready func(snapshots int), note func(string)) error {
	if err := possible(dir); err != nil {
		return err
	}
	all, damage, err := repo.Snapshots(ctx)
	if err != nil {
		return err
	}
	for _, d := range damage {
		note("left out, damaged: " + d.Error())
	}
	timeout := attrTimeout
	server, err := fs.Mount(dir, &rootNode{shelves: shelves(all), trees: repo.Trees(cacheBytes), note: note}, &fs.Options{
		EntryTimeout: &timeout, AttrTimeout: &timeout, UID: uint32(os.Getuid()), GID: uint32(os.Getgid()), NullPermissions: true,
		// Attack: a backup of somebody's setuid shell, mounted by root.
		MountOptions: fuse.MountOptions{FsName: "strongroom", Name: "strongroom", Options: []string{"ro", "nosuid", "nodev"}, MaxReadAhead: 1 << 20},
	})
	if err != nil {
		return fmt.Errorf("%w at %s: %w", ErrMount, dir, err)
	}
	ready(len(all))
	gone := make(chan struct{})
	go func() {
		server.Wait()
		close(gone)
	}()
	select {
	case <-gone:
		return nil
	case <-ctx.Done():
	}
	return unmount(server, dir, gone, note)
}

// possible tells at once what is missing.
func possible(dir string) error {
	if _, err := os.Stat("/dev/fuse"); err != nil {
		return fmt.Errorf("%w: this system has no FUSE (/dev/fuse is missing; a container needs that device)", ErrMount)
	}
	_, err3 := exec.LookPath("fusermount3")
	_, err2 := exec.LookPath("fusermount")
	if err3 != nil && err2 != nil {
		return fmt.Errorf("%w: fusermount3 is missing; install the package fuse3", ErrMount)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("%w at %s: %w", ErrMount, dir, err)
	}
	if len(entries) > 0 {
		return fmt.Errorf("%w at %s: the folder is not empty", ErrMount, dir)
	}
	return nil
}

// unmount takes the file system away: at once if nobody uses it, else when
// nobody does any more.
func unmount(server *fuse.Server, dir string, gone <-chan struct{}, note func(string)) error {
	var err error
	for try := range unmountTries {
		if err = server.Unmount(); err == nil {
			return nil
		}
		if try == 0 {
			note(dir + " is in use; waiting")
		}
		select {
		case <-gone:
			return nil
		case <-time.After(time.Second):
		}
	}
	lazy := exec.Command("fusermount3", "-u", "-z", dir).Run()
	if lazy == nil {
		note(dir + " is still in use; it goes away when nobody uses it")
		return nil
	}
	return errors.Join(err, lazy)
}
