package vault_test

import (
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"strongroom/protocol/opaque"
	"strongroom/protocol/wire"
)

// BenchmarkLogin measures the box's share of a whole login: opening two
// sealed trips, the token, the debit, OPAQUE, the refill, both answers. The
// host's fsync and the client's work are left out; everything runs on one
// thread, whose CPU time is what us/login tells (the wait for the HSM's memory
// to reach the disk is no CPU time).
func BenchmarkLogin(b *testing.B) {
	for name, suite := range map[string]*opaque.Suite{"P256": opaque.P256SHA256, "ristretto255": opaque.Ristretto255SHA512} {
		b.Run(name, func(b *testing.B) {
			r := newRig(b, suite)
			r.register(alice, right, "K1")
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			var box, began time.Duration
			r.serving = func() { began = threadCPU(b) }
			r.served = func() { box += threadCPU(b) - began }
			for b.Loop() {
				at := r.nextAttempt(alice, right)
				a, exchange, code := r.recoverStart(at)
				if code != "" {
					b.Fatal(code)
				}
				ke3, _, _, err := at.login.Finish(a.RecoverStart.KE2, argon())
				must(b, err)
				if _, code := r.second(exchange, a.RecoverStart.Ticket, wire.Second{RecoverFinish: &wire.RecoverFinish{KE3: ke3}}); code != "" {
					b.Fatal(code)
				}
			}
			b.ReportMetric(float64(box.Microseconds())/float64(b.N), "us/login")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// threadCPU is the CPU time that this thread has used.
func threadCPU(b *testing.B) time.Duration {
	var u unix.Rusage
	must(b, unix.Getrusage(unix.RUSAGE_THREAD, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
