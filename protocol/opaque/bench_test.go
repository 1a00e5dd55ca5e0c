package opaque

import "testing"

// Benchmarks of each step, on both suites, without stretching: go test -bench .
// A whole login's work in the server is BenchmarkServerLogin: the check at the
// door, KE2 with keys in memory, and the check of KE3.

func eachSuiteBench(b *testing.B, f func(b *testing.B, w *world)) {
	for _, s := range bothSuites {
		b.Run(s.String(), func(b *testing.B) {
			w := newWorld(b, s, Identity{})
			b.ReportAllocs()
			b.ResetTimer()
			f(b, w)
		})
	}
}

func BenchmarkServerLogin(b *testing.B) {
	eachSuiteBench(b, func(b *testing.B, w *world) {
		l, ke1, ke2, _ := w.login(b, password)
		ke3, _, _, err := l.Finish(ke2, Identity{})
		must0(b, err)
		for b.Loop() {
			if _, err := w.suite.ParseKE1(ke1); err != nil {
				b.Fatal(err)
			}
			_, expected, err := w.server.KE2(w.attempt(ke1))
			if err != nil || expected.Check(ke3) != nil {
				b.Fatal("no login")
			}
		}
	})
}

func BenchmarkServerRegistrationResponse(b *testing.B) {
	eachSuiteBench(b, func(b *testing.B, w *world) {
		request, _, err := w.client.StartRegistration(password)
		must0(b, err)
		for b.Loop() {
			if _, err := w.server.RegistrationResponse(request, w.oprf); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkServerParseKE1(b *testing.B) {
	eachSuiteBench(b, func(b *testing.B, w *world) {
		_, ke1, _, _ := w.login(b, password)
		for b.Loop() {
			if _, err := w.suite.ParseKE1(ke1); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkServerKE2(b *testing.B) {
	eachSuiteBench(b, func(b *testing.B, w *world) {
		ke1, _, err := w.client.StartLogin(password)
		must0(b, err)
		for b.Loop() {
			if _, _, err := w.server.KE2(w.attempt(ke1)); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkServerCheckKE3(b *testing.B) {
	eachSuiteBench(b, func(b *testing.B, w *world) {
		l, _, ke2, expected := w.login(b, password)
		ke3, _, _, err := l.Finish(ke2, Identity{})
		must0(b, err)
		for b.Loop() {
			if err := expected.Check(ke3); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkClientStartRegistration(b *testing.B) {
	eachSuiteBench(b, func(b *testing.B, w *world) {
		for b.Loop() {
			if _, _, err := w.client.StartRegistration(password); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkClientFinishRegistration(b *testing.B) {
	eachSuiteBench(b, func(b *testing.B, w *world) {
		request, r, err := w.client.StartRegistration(password)
		must0(b, err)
		response, err := w.server.RegistrationResponse(request, w.oprf)
		must0(b, err)
		for b.Loop() {
			if _, _, err := r.Finish(response, Identity{}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkClientStartLogin(b *testing.B) {
	eachSuiteBench(b, func(b *testing.B, w *world) {
		for b.Loop() {
			if _, _, err := w.client.StartLogin(password); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkClientFinishLogin(b *testing.B) {
	eachSuiteBench(b, func(b *testing.B, w *world) {
		l, _, ke2, _ := w.login(b, password)
		for b.Loop() {
			if _, _, _, err := l.Finish(ke2, Identity{}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
