package mutants

// bug is one line that is wrong.
type bug struct {
	name     string
	file     string // from the top
	was, is  string // was stands in the file once, or the bug is rotten
	room     string // whose test
	test     string // must fail
	everyday bool
}

const (
	attempt      = "vault/internal/record/attempt.go"
	registration = "vault/internal/record/registration.go"
	departure    = "vault/internal/record/departure.go"
	arrival      = "vault/internal/record/arrival.go"
	records      = "vault/internal/record"
)

const interleavings = "TestNoInterleavingLosesASnapshot"

// bugs: five everyday, all in a soak.
var bugs = []bug{
	{"evaluate before the guess is counted", "vault/recover.go", "case !verdict.Charged:", "case true:", "vault", "TestTenWrongThenTheRightOne", true},
	{"say that the anchor was written, and do not", "vault/commit.go", "anchored{j.head, h.WriteMemory(j.memory)}", "anchored{j.head, nil}", "vault", "TestHostileHost", true},
	{"take an expired ticket", "vault/ticket.go", " || v.nowMillis > t.ExpiresMillis", "", "vault", "TestBadVectors", true},
	{"forgive up to the newest slot", attempt, "r.Forgiven = f.Slot", "r.Forgiven = r.Slot", records, "TestSlotForgivesNoLaterGuess", true},
	{"let the old slot be guessed at again", attempt, "case d.Slot != r.Slot+1:", "case d.Slot > r.Slot+1:", records, "TestSlotRefuses", true},

	{"let a reset forgive", "vault/internal/record/reset.go", "r.KE1, r.WrongBefore, r.Marks = [32]byte{}, 0, nil", "r.KE1, r.WrongBefore, r.Marks, r.Forgiven = [32]byte{}, 0, nil, r.Slot", records, "TestResetWaitsAndCarriesOver", false},
	{"begin the account's count anew with each registration", registration, "case root || r.Root == [32]byte{}:", "case root || true:", records, "TestALifetimeEnds", false},
	{"carry a proof over to another generation", attempt, "case f.Generation != r.Generation:", "case false:", records, "TestResetWaitsAndCarriesOver", false},
	{"do not wait between attempts", attempt, "case d.NowMillis < r.waitUntilMillis(p):", "case false:", records, "TestLaterAttemptsWait", false},
	{"destroy while the tenth attempt is open", attempt, " || d.NowMillis <= r.OpenUntilMillis", "", records, "TestTenWrongThenDestroyed", false},
	{"call all durable at once", "vault/vault.go", "v.durable = max(v.durable, min(in.Durable, v.ledger.Head().Index))", "v.durable = v.ledger.Head().Index", "vault", "TestNothingLeavesBeforeItIsDurable", false},
	{"take a log that does not reach the anchor", "vault/open.go", "	if !reached {", "	if false {", "vault", "TestHostileHost", false},
	{"take any signature for the owner's", "vault/owner.go", "ok := len(signature) == ed25519.SignatureSize && ", "ok := true || ", "vault", "TestDeleteNeedsTheOwner", false},
	{"take the relay's token in the box", "protocol/token/token.go", "c.Audience[0] != audience:", "false:", "vault", "TestTokens", false},
	{"take any proof", "vault/recover.go", "if expected.Check(r.second.RecoverFinish.KE3) != nil {", "if false && expected.Check(nil) != nil {", "vault", "TestBadVectors", false},
	{"take any transcript", "vault/register.go", "if subtle.ConstantTimeCompare(f.Transcript[:], t.Register.Transcript[:]) != 1 {", "if subtle.ConstantTimeCompare(f.Transcript[:], f.Transcript[:]) != 1 {", "vault", "TestBadVectors", false},
	{"ask the HSM for a point that is none", "vault/request.go", "	if err != nil {\n		o.refused = wire.CodeMalformed", "	if first == nil {\n		o.refused = wire.CodeMalformed", "vault", "TestBadVectors", false},
	{"keep the old epoch's key", "vault/turn.go", "if err = h.DestroyEpochKey(number); err != nil {", "if false {", "vault", "TestDeletedMeansGone", false},
	{"take a node of the tree unproven", "vault/internal/tree/tree.go", "if err != nil || hashPage(key, page.Bytes) != s.hash {", "if err != nil {", "vault/internal/tree", "TestChangedPagesAreFound", false},
	{"chain no entry to the one before it", "vault/internal/ledger/ledger.go", "	h.Write(entry)", "	h.Write(nil)", "vault/internal/ledger", "TestHostileLogs", false},
	{"do not compare the ticket of a second trip", "protocol/channel/box.go", "plaintext, err = unpad(padded)\n	if err != nil {\n		return nil, nil, err\n	}\n	return plaintext, &Peer{t}, nil\n}\n\n// SealAnswer", "return padded, &Peer{t}, nil\n}\n\n// SealAnswer", "protocol/channel", "TestConversation", false},
	{"let an HSM multiply what is no point of the form", "hsm/soft/scalar.go", "if len(point) != p256PointBytes {", "if false {", "hsm/soft", "TestContract", false},
	{"do not sync the log", "host/node/log.go", "	start := time.Now()\n	if err := l.file.Sync(); err != nil {", "	start := time.Now()\n	if err := error(nil); err != nil {", "host/node", "TestPowerCuts", false},
	{"count no account at the relay", "host/relay/relay.go", "!r.accounts.take(claims.Account, r.config.Now()) || ", "", "host/relay", "TestAccountFlood", false},
	{"log who asks", "host/relay/relay.go", `Debug("request", "outcome", outcome, `, `Debug("request", "outcome", outcome, "asks", req.Header.Get("Authorization"), `, "cmd/internal/canary", "TestHostNeverSeesSecret", false},
	{"leave the secret in the pipe's frame", "host/node/pipe.go", "clear(answer[:cap(answer)])", "", "cmd/internal/canary", "TestHostNeverSeesSecret", false},

	{"prune: look for claims before what is condemned is read", "backup/pack/prune.go", `	if p.before, p.garbled, err = r.condemned(ctx); err != nil {
		return nil, err
	}
	if err := p.lookClaims(ctx); err != nil {
		return nil, err
	}`, `	if err := p.lookClaims(ctx); err != nil {
		return nil, err
	}
	if p.before, p.garbled, err = r.condemned(ctx); err != nil {
		return nil, err
	}`, "backup", interleavings, false},
	{"prune: look for claims after the heads", "backup/pack/prune.go", `	if err := p.lookClaims(ctx); err != nil {
		return nil, err
	}
	var damage []*Damage
	if p.heads, damage, err = r.loadIndex(ctx, doomedPacks(p.before)); err != nil {
		return nil, err
	}`, `	var damage []*Damage
	if p.heads, damage, err = r.loadIndex(ctx, doomedPacks(p.before)); err != nil {
		return nil, err
	}
	if err := p.lookClaims(ctx); err != nil {
		return nil, err
	}`, "backup", interleavings, false},
	{"let go of a claim whose head may yet land", "backup/claim.go", "	if !sure {", "	if false {", "backup", interleavings, false},
	{"do not look whether the claim stood until the head was there", "backup/finish.go", "	err := b.claim.stands(ctx)\n	if errors.Is(err, pack.ErrClaim) {", "	err := error(nil)\n	if errors.Is(err, pack.ErrClaim) {", "backup", interleavings, false},
	{"renew a claim that was taken away", "backup/claim.go", "	if !stood {", "	if _ = stood; false {", "backup", interleavings, false},
	{"list claims once", "backup/pack/claim.go", "	for range 2 {", "	for range 1 {", "backup/pack", "TestRenewedClaimIsSeen", false},
	{"take a list that was replaced for one that is done", "backup/pack/condemned.go", "			return nil, nil, true, nil", "			continue", "backup/pack", "TestReplacedListIsSeen", false},
	{"fetch again what an interrupted restore left", "backup/restoreresume.go", "return part < len(g.done) && g.done[part] }", "return false }", "backup", "TestRestoreGoesOnWhereItStopped", false},
	{"throw away what a broken line left", "backup/restoreresume.go", "g.parts > 1 && g.left < g.parts {", "false {", "backup", "TestRestoreGoesOnWhereItStopped", false},
	{"fetch again what a killed restore left", "backup/restoreresume.go", "		g.part, g.done = info, done\n", "		_, _ = info, done\n", "backup", "TestKilledRestoreGoesOn", false},
	{"prune: let a damaged pack go", "backup/pack/prunetidy.go", "			u.fate = fateKeep\n			p.report.Repacked.Objects--", "			p.report.Repacked.Objects--", "backup", "TestPruneKeepsADamagedPack", false},
	{"read one head after another", "backup/pack/spread.go", "range min(lookWorkers, len(all))", "range min(1, len(all))", "backup/pack", "TestManyAreAskedForAtOnce", false},

	{"simulated: evaluate before the guess is counted", "vault/recover.go", "case !verdict.Charged:", "case true:", "test/sim", "TestSeeds", false},
	{"a counter for each box", "vault/applying.go", "		o := v.apply(a.entry.Index, a.record, &a.command)\n", "		if _, ours := g.pending[a.stamp.serial]; !ours {\n			break\n		}\n		o := v.apply(a.entry.Index, a.record, &a.command)\n", "test/sim", "TestSeeds", false},
	{"acknowledge what is not durable", "vault/commit.go", "v.writes[0].head.Index <= v.anchored.Index", "v.writes[0].head.Index <= v.ledger.Head().Index", "test/sim", "TestSeeds", false},
	{"serve before what was before is applied", "vault/group.go", " && g.applied.Term == s.Term", "", "test/sim", "TestStorms", false},
	{"answer any KE1 for a slot that is paid", attempt, "d.Slot == r.Slot && d.KE1 == r.KE1 && d.KE1 != [32]byte{}", "d.Slot == r.Slot", "test/sim", "TestSeeds", false},
	{"forget what was committed, and so who the members are", "vault/internal/consensus/journaled.go", "min(l.state.Commit, l.last())", "min(0, l.last())", "test/sim", "TestSeeds", false},
	{"resume as who it was with a disk that can be put back", "vault/journal.go", "return b.Rollback != rollbackFile", "return true", "test/sim", "TestRollbacks", false},
	{"resume without the term and the vote", "vault/journal.go", "s.State = *r.State", "s.State.Commit = r.State.Commit", "test/sim", "TestVoteOutlivesItsBox", false},
	{"resume only as a member that the checkpoint has", "vault/journal.go", "g.wasLetIn() &&", "g.conf.Has(g.member) &&", "test/sim", "TestLetInAgainResumes", false},
	{"believe an old journal at its second start", "vault/open.go", "if v.group != nil && !v.group.resumes {", "if false {", "test/sim", "TestOldDiskStartsTwice", false},
	{"answer before a majority confirms the lead", "vault/confirm.go", "g.must(v, g.raft.Confirm(g.batch))", "g.release(v, g.batch)", "test/sim", "TestReplacedLeaderIsSilent", false},
	{"let a box in before all know whose place it has", "vault/member.go", "if len(g.wanted) > 0 {", "if false {", "vault", "TestShownReplacement", false},
	{"let a host's certificate go before the one that the island agreed on", "vault/replace.go", "if err != nil { // it agreed on another box", "if false { //", "vault", "TestShownReplacement", false},
	{"count no replaced box for a cold start before it was agreed on", "vault/group.go", "if g.unsettled && g.free() {", "if false {", "vault", "TestMajorityReplaced", false},
	{"let a record depart without its owner's signature", departure, "case !same && by != nil && by.Needed && !signed:", "case false:", records, "TestOneIslandIsOpen", false},
	{"depart by a signature for another generation", departure, "d.Live == by.Live", "true", records, "TestDepartRefuses", false},
	{"let who left be overruled before the wait is over", departure, "case left.guarded(p, nowMillis):", "case false:", records, "TestOneIslandIsOpen", false},
	{"depart in an older layout", departure, "d.Layout != p.Place.Layout ||", "d.Layout > p.Place.Layout ||", records, "TestDepartRefuses", false},
	{"arrive with one receipt missing", "vault/depart.go", "if len(p.receipts) != len(p.older) || len(p.older) == 0 {\n		return false\n	}\n	for _, from := range p.older {", "for _, from := range p.older[:min(len(p.older), len(p.receipts))] {", "vault", "TestAccountMoves", false},
	{"arrive after having departed in the same layout", arrival, "case r.Departed != nil && min(a.Least, a.Layout) <= r.Departed.Layout:", "case false:", records, "TestArriveRefuses", false},
	{"arrive by what was told under an older layout", arrival, "a.Layout != at.Latest", "false", records, "TestArriveRefuses", false},
	{"be drawn back into a run that was left for an order", "vault/member.go", "case run == g.id && !led && g.leftAt != 0 && g.ticks < g.leftAt+leaderlessTicks:", "case false:", "vault", "TestColdStartOfResumed", false},
	{"wake what waited over a destroyed record", arrival, "!a.wakes(g.Keys.Owner):", "false:", records, "TestOneIslandIsOpen", false},
	{"forgive the guesses spent before the departure", arrival, "if waited && spent > 0 {", "if false {", records, "TestWaitingEnds", false},
	{"have what waits inherit a stranger's delay", arrival, "	r.ArrivingMillis = g.NowMillis\n", "	if r.State != wire.StateArriving {\n		r.ArrivingMillis = g.NowMillis\n	}\n", records, "TestWaitingEnds", false},
	{"forget the lifetime's wrong attempts on the way", arrival, "r.Past, r.Root = r.Slot, last.Wrong, last.Root", "r.Past, r.Root = r.Slot, 0, last.Root", records, "TestOneIslandIsOpen", false},
	{"throw away what waits for its receipts", arrival, "case r.guarded(p, g.NowMillis) && !(g.Proven && g.Replaces != nil):", "case false:", records, "TestOneIslandIsOpen", false},
	{"take a receipt that nobody signed", "vault/depart.go", "return bundle.SignedBy(p.homes.StatusKey(from)", "return true || bundle.SignedBy(p.homes.StatusKey(from)", "vault", "TestAccountMoves", false},
	{"take a layout signed by too few", "protocol/bundle/layout.go", "if err := founder.checkQuorum(statement, l.Signatures); err != nil {", "if err := founder.checkQuorum(statement, l.Signatures); false {", "protocol/bundle", "TestLayoutsRefused", false},
	{"take a layout of a lower number", "protocol/bundle/layout.go", "case l.Number != next:", "case l.Number > next:", "protocol/bundle", "TestLayoutsRefused", false},
	{"simulated: let the old slot be guessed at again", attempt, "case d.Slot != r.Slot+1:", "case d.Slot > r.Slot+1:", "test/sim", "TestSeeds", false},
	{"simulated: forgive up to the newest slot", attempt, "r.Forgiven = f.Slot", "r.Forgiven = r.Slot", "test/sim", "TestSeeds", false},
}
