package record

import (
	"testing"

	"strongroom/protocol/wire"
)

// at is the policy of an island that knows a layout, in which the account's
// home is another island.
func at(layout uint64, island, home int) Policy {
	p := islandPolicy
	p.Place = Place{Layout: layout, Home: pin(home), Away: island != home, Later: island != 0}
	if island == home {
		p.Place.Latest = layout
	}
	return p
}

func departs(r Record, p Policy, to int, g byte, live wire.Generation, now uint64) (Record, wire.Code) {
	return Depart{To: pin(to), Layout: p.Place.Layout, Generation: gen(g), Live: live, NowMillis: now}.Apply(r, p)
}

// TestDepartRefuses: each case is refused by name and changes nothing.
func TestDepartRefuses(t *testing.T) {
	live := guesses(t, applied(t, Record{}, owned(1, 1, Record{}), ""), 3)
	gone, code := departs(live, at(1, 0, 1), 1, 7, gen(1), 1000)
	if code != "" || gone.State != wire.StateDeparted || gone.Keys != nil || gone.Past != 3 || gone.spent() != 0 {
		t.Fatalf("%q %+v", code, gone)
	}
	spent := guesses(t, live, 7)
	waiting := Record{State: wire.StateArriving, Generation: gen(5), Keys: &Keys{Owner: [32]byte{5}}, ArrivingMillis: 1000}
	for name, c := range map[string]struct {
		r    Record
		p    Policy
		to   int
		g    byte
		live wire.Generation
		now  uint64
		want wire.Code
	}{
		"without a signature":                  {live, at(1, 0, 1), 1, 7, wire.Generation{}, 1000, wire.CodeOwner},
		"signed for another generation":        {live, at(1, 0, 1), 1, 7, gen(2), 1000, wire.CodeOwner},
		"to another island than the home":      {live, at(1, 0, 1), 2, 7, gen(1), 1000, wire.CodeLayout},
		"to itself":                            {live, at(1, 1, 1), 1, 7, gen(1), 1000, wire.CodeLayout},
		"in layout 0":                          {live, at(0, 1, 0), 0, 7, gen(1), 1000, wire.CodeLayout},
		"the last attempt":                     {spent, at(1, 0, 1), 1, 7, gen(1), 1000, wire.CodeExhausted},
		"what waits, without a signature":      {waiting, at(2, 1, 2), 2, 7, wire.Generation{}, 1000 + islandMillis, wire.CodeOwner},
		"another, without a signature":         {gone, at(1, 0, 1), 1, 8, wire.Generation{}, 1000 + islandMillis, wire.CodeOwner},
		"another, in a newer layout":           {gone, at(2, 0, 1), 1, 8, wire.Generation{}, 1000 + islandMillis, wire.CodeOwner},
		"elsewhere, in a newer layout":         {gone, at(2, 0, 2), 2, 7, wire.Generation{}, 1000 + islandMillis, wire.CodeOwner},
		"another, and it is not away any more": {gone, at(2, 0, 0), 1, 8, gen(1), 1000, wire.CodeLayout},
	} {
		after, code := departs(c.r, c.p, c.to, c.g, c.live, c.now)
		if code != c.want || after.Changes != c.r.Changes {
			t.Errorf("%s: %q, want %q", name, code, c.want)
		}
	}
	older := Depart{To: pin(1), Layout: 1, Generation: gen(7), Live: gen(1)}
	if _, code := older.Apply(live, at(2, 0, 1)); code != wire.CodeLayout {
		t.Errorf("in an older layout: %q", code)
	}
	for name, c := range map[string]struct {
		r Record
		p Policy
		g byte
		l wire.Generation
		n uint64
	}{
		"a retry": {gone, at(1, 0, 1), 7, wire.Generation{}, 1000}, "the same in a newer layout": {gone, at(2, 0, 1), 7, wire.Generation{}, 1000},
		"another, signed": {gone, at(1, 0, 1), 8, gen(1), 1000}, "another, when the wait is over": {gone, at(1, 0, 1), 8, wire.Generation{}, 1001 + islandMillis},
		"nothing": {Record{}, at(1, 0, 1), 8, wire.Generation{}, 0}, "what waited long": {waiting, at(2, 0, 1), 7, wire.Generation{}, 1001 + islandMillis},
	} {
		if after, code := departs(c.r, c.p, 1, c.g, c.l, c.n); code != "" || after.State != wire.StateDeparted || after.Departed.Generation != gen(c.g) {
			t.Errorf("%s: %q %+v", name, code, after)
		}
	}
}

// TestArriveRefuses is about an island that the account arrives at.
func TestArriveRefuses(t *testing.T) {
	waiting := Record{State: wire.StateArriving, Generation: gen(5), Keys: &Keys{Owner: [32]byte{5}}, ArrivingMillis: 1000}
	left := waiting
	left.Departed = &Departed{To: pin(0), Layout: 2, Before: wire.StateLive}
	last := wire.Receipt{Layout: 1, Before: wire.StateLive, Opened: 1, Signed: true, Owner: [32]byte{5}, Slot: 9, Wrong: 4, Root: [32]byte{1}, Changes: 20, Events: 30}
	good := Arrive{Generation: gen(5), Layout: 1, Least: 1, Last: last}
	over := good
	over.Last.Wrong = islandPolicy.Lifetime
	for name, c := range map[string]struct {
		r    Record
		p    Policy
		a    Arrive
		want wire.Code
	}{
		"nothing waits":                      {Record{}, at(1, 1, 1), good, wire.CodeNoRecord},
		"another waits":                      {waiting, at(1, 1, 1), Arrive{Generation: gen(6), Layout: 1, Least: 1, Last: last}, wire.CodeGeneration},
		"the home is another island by now":  {waiting, at(1, 1, 2), good, wire.CodeLayout},
		"there is a newer layout by now":     {waiting, at(2, 1, 1), good, wire.CodeLayout},
		"receipts from before it left again": {left, at(3, 1, 1), Arrive{Generation: gen(5), Layout: 3, Least: 2, Last: last}, wire.CodeReceipt},
		"over what was destroyed":            {waiting, at(1, 1, 1), Arrive{Generation: gen(5), Layout: 1, Least: 1, Last: wire.Receipt{Layout: 1, Before: wire.StateDestroyed, Opened: 1}}, wire.CodeReceipt},
		"over what was deleted":              {waiting, at(1, 1, 1), Arrive{Generation: gen(5), Layout: 1, Least: 1, Last: wire.Receipt{Layout: 1, Before: wire.StateDeleted, Opened: 1}}, wire.CodeReceipt},
		"sent by another owner":              {waiting, at(1, 1, 1), Arrive{Generation: gen(5), Layout: 1, Least: 1, Last: wire.Receipt{Layout: 1, Before: wire.StateLive, Opened: 1, Signed: true, Owner: [32]byte{6}}}, wire.CodeReceipt},
		"sent by nobody, after the delay":    {waiting, at(1, 1, 1), Arrive{Generation: gen(5), Layout: 1, Least: 1, Last: wire.Receipt{Layout: 1, Before: wire.StateLive, Opened: 1}}, wire.CodeReceipt},
		"the lifetime is over":               {waiting, at(1, 1, 1), over, wire.CodeLifetime},
	} {
		if after, code := c.a.Apply(c.r, c.p); code != c.want || after.live() {
			t.Errorf("%s: %q, want %q", name, code, c.want)
		}
	}
	r, code := good.Apply(waiting, at(1, 1, 1))
	if code != "" || !r.live() || r.wrongEver() != 4 || r.Slot != 9 || r.Root != [32]byte{1} || r.Changes != 21 || r.Events != 30 || r.Opened != 2 || r.left(islandPolicy) != 8 {
		t.Fatalf("%q %+v", code, r)
	}
	if again, code := good.Apply(r, at(1, 1, 1)); code != "" || again.Changes != r.Changes {
		t.Errorf("a retry: %q", code)
	}
	for name, g := range map[string]Register{
		"another over what waits": {Generation: gen(6), NowMillis: 1000}, "the same, at the end of the wait": {Generation: gen(6), NowMillis: 1000 + islandMillis},
	} {
		if _, code := g.Apply(waiting, at(1, 1, 1)); code != wire.CodeArriving {
			t.Errorf("%s: %q", name, code)
		}
	}
	if _, code := (Register{Generation: gen(6)}).Apply(Record{}, at(1, 0, 1)); code != wire.CodeLayout {
		t.Errorf("registered away from home: %q", code)
	}
	for _, c := range []Command{
		{Debit: &Debit{Generation: gen(5), Slot: 1}}, {Refill: &Refill{Generation: gen(5)}}, {Delete: &Delete{Generation: gen(5), Later: true}}, {Mark: &Mark{Generation: gen(5)}},
	} {
		if _, o := c.Apply(waiting, at(1, 1, 1)); o.Refused != wire.CodeArriving || o.Changed || o.Ticket.Valid() {
			t.Errorf("%+v of what waits: %q", c, o.Refused)
		}
		if _, o := c.Apply(Record{State: wire.StateDeparted, Generation: gen(5)}, at(1, 1, 2)); o.Refused != wire.CodeDeparted || o.Changed {
			t.Errorf("%+v of what departed: %q", c, o.Refused)
		}
	}
}

// TestWaitingEnds is about what waits for receipts, when something else happens.
func TestWaitingEnds(t *testing.T) {
	live := guesses(t, applied(t, Record{}, owned(1, 1, Record{}), ""), 9)
	gone, _ := departs(live, at(1, 0, 1), 1, 7, gen(1), 1000)
	waiting := Record{State: wire.StateArriving, Generation: gen(7), Keys: &Keys{Owner: live.Keys.Owner}, ArrivingMillis: 900}
	arrive := Arrive{Generation: gen(7), Layout: 1, Least: 1, Last: *gone.Receipt(at(1, 0, 1).Place), NowMillis: 1000}

	r, code := arrive.Apply(waiting, at(1, 1, 1))
	if code != "" || r.left(islandPolicy) != 1 || r.wrongEver() != 9 || r.spent() != 9 {
		t.Errorf("nine guesses were spent before the owner's word got through: %q, %d left, %d wrong ever", code, r.left(islandPolicy), r.wrongEver())
	}
	between := at(2, 1, 2)
	between.Place.Latest = 1
	if r, code = arrive.Apply(waiting, between); code != "" || !r.live() || r.Opened != 2 {
		t.Errorf("a layout came between departure and arrival: %q", code)
	}
	if again, code := departs(gone, at(2, 0, 2), 1, 7, wire.Generation{}, 1000); code == "" && again.Departed.Layout != 1 {
		t.Errorf("another receipt than the lost one: %+v", again.Departed)
	}
	retry := Depart{To: pin(1), Layout: 1, Generation: gen(7)}
	if again, code := retry.Apply(gone, at(2, 0, 2)); code != "" || again.Changes != gone.Changes {
		t.Errorf("the lost receipt, when a newer layout is known: %q", code)
	}
	left := waiting
	left.Departed = &Departed{To: pin(2), Layout: 2}
	if _, code := arrive.Apply(left, between); code != wire.CodeReceipt {
		t.Errorf("it departed from here in a newer layout: %q", code)
	}

	dropped, code := Delete{Generation: gen(7)}.Apply(left, between)
	if code != "" || dropped.State != wire.StateDeparted || dropped.Keys != nil {
		t.Errorf("deleted by its owner: %q %+v", code, dropped)
	}
	if dropped, code = (Delete{Generation: gen(7)}).Apply(waiting, at(1, 1, 1)); code != "" || dropped.State != wire.StateNone || dropped.Keys != nil || dropped.open(at(1, 1, 1).Place) {
		t.Errorf("deleted by its owner: %q %+v", code, dropped)
	}

	late := 900 + uint64(islandMillis) + 1
	taken, code := Register{Generation: gen(8), NowMillis: late, Changes: waiting.Changes}.Apply(waiting, at(1, 1, 1))
	if code != "" || !taken.guarded(islandPolicy, late+islandMillis) {
		t.Errorf("whose wait began late has less of it: %q %+v", code, taken)
	}
	for _, by := range []wire.Generation{{}, gen(1)} { // the guard runs once, whoever signs
		late := 1001 + uint64(islandMillis)
		again, code := departs(gone, at(1, 0, 1), 1, 9, by, late)
		if code != "" || again.Departed.guarded(islandPolicy, late) || again.Departed.Signed != (by != wire.Generation{}) {
			t.Errorf("named anew after the delay: %q %+v", code, again.Departed)
		}
	}
}
