package vault

import (
	"fmt"

	"strongroom/protocol/bundle"
	"strongroom/protocol/channel"
	"strongroom/protocol/wire"
	"strongroom/vault/internal/record"
)

// alertsHeldMax is how many alerts of entries read again at a start wait for
// the node's word of which it has.
const alertsHeldMax = 4 << 10

// alerts tells the operator what happened to accounts, past the host: sealed
// to the alert key of the fleet's document.
//
// None is lost when the host or the box stops: entries that are read again are
// told again, but for those of which the node says that it has them. A node
// that lies can lose alerts, and no more: it can also throw them away.
type alerts struct {
	sender *channel.AlertSender // nil: the fleet has no alert key
	told   []told               // not given out yet, in the order of the log
	given  uint64               // the entry of the last that was given out
	kept   uint64               // what the node says it has them up to
	lost   uint64               // at this start, not counted yet
}

// told is an alert of one entry of the log.
type told struct {
	index uint64
	alert wire.Alert
}

// openAlerts sets up HPKE: a multiplication, so at the start, once.
func openAlerts(f *bundle.Fleet) (alerts, error) {
	if len(f.Alert) == 0 {
		return alerts{}, nil
	}
	key, err := channel.ParsePublicKey(f.KEM, f.Alert)
	if err != nil {
		return alerts{}, fmt.Errorf("%w: the alert key: %w", bundle.ErrDocument, err)
	}
	sender, err := channel.NewAlertSender(key, f.ID)
	return alerts{sender: sender}, err
}

// alert tells of every event of a committed entry.
func (v *Vault) alert(index uint64, h *held, events []wire.Event) {
	if v.alerts.sender == nil {
		return
	}
	for _, e := range events {
		v.alerts.told = append(v.alerts.told, told{index, alertOf(h.account, &h.record, e, v.policyOf(h.account))})
	}
	if over := len(v.alerts.told) - alertsHeldMax; over > 0 {
		v.alerts.told = v.alerts.told[over:]
		v.alerts.lost += uint64(over)
	}
}

func alertOf(account string, r *record.Record, e wire.Event, p record.Policy) wire.Alert {
	s := r.Status(p, e.LastMillis)
	a := wire.Alert{
		Account: account, Kind: e.Kind, Number: e.Number, AtMillis: e.LastMillis,
		State: s.State, Left: s.Left, Limit: s.Limit,
	}
	a.DueMillis, _ = r.DueMillis()
	return a
}

// giveAlerts seals what is told: before the answers of the same Step leave.
func (v *Vault) giveAlerts(alerted uint64) {
	v.alerts.kept = max(v.alerts.kept, alerted)
	v.out.Counts.AlertsLost += v.alerts.lost
	v.alerts.lost = 0
	for len(v.alerts.told) > 0 && v.alerts.told[0].index <= alerted {
		v.alerts.told = v.alerts.told[1:]
	}
	for len(v.alerts.told) > 0 {
		n := v.alerts.next()
		message := wire.Alerts{Version: wire.Version}
		for _, t := range v.alerts.told[:n] {
			message.Alerts = append(message.Alerts, t.alert)
		}
		sealed, err := v.sealAlerts(message)
		if err != nil {
			v.fail(err)
			return
		}
		v.out.Alerts = append(v.out.Alerts, wire.SealedAlerts{Index: v.alerts.told[n-1].index, Sealed: sealed})
		v.alerts.given = v.alerts.told[n-1].index
		v.alerts.told = v.alerts.told[n:]
	}
}

// settled tells whether the node has all alerts: until then no checkpoint takes
// the place of the entries that would tell them again.
func (a *alerts) settled() bool { return len(a.told) == 0 && a.kept >= a.given }

func (v *Vault) sealAlerts(message wire.Alerts) ([]byte, error) {
	plaintext, err := wire.Encode(message)
	if err != nil {
		return nil, err
	}
	return v.alerts.sender.Seal(v.rand, plaintext, wire.AlertsBytes(len(message.Alerts)))
}

// next is how many alerts go into the next message: never a part of an entry's,
// so that its index stands for whole entries.
func (a *alerts) next() int {
	if len(a.told) <= wire.AlertsMax {
		return len(a.told)
	}
	n := wire.AlertsMax
	for a.told[n-1].index == a.told[n].index { // an entry has two events at most
		n--
	}
	return n
}
