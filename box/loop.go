package box

import (
	"strongroom/protocol/wire"
	"strongroom/vault"
)

// loop owns the vault. It takes everything that waits, calls Step once, and
// hands out jobs and output as they are taken; it never waits for one of them
// alone, so nothing can stand still in a circle.
func (b *Box) loop() {
	b.err = b.run()
	b.once.Do(func() { close(b.stop) })
	close(b.stopped)
	b.workers.Wait()
}

func (b *Box) run() error {
	var pending backlog
	for {
		var in vault.Input
		b.busy.Store(len(pending.jobs) > 0)
		jobs, job := pending.nextJob(b.jobs)
		outs, out := pending.nextOut(b.out)
		select {
		case <-b.stop:
			return ErrClosed
		case jobs <- job:
			pending.jobs = pending.jobs[1:]
			continue
		case outs <- out:
			pending.out, pending.full = wire.Out{}, false
			continue
		case in.In = <-b.in:
		case r := <-b.done:
			in.Done = append(in.Done, r)
		}
		b.gather(&in)
		o := b.vault.Step(in)
		if o.Fatal != nil {
			return o.Fatal
		}
		if o.Anchor != nil {
			b.memory <- o.Anchor // has room: one is out at a time
		}
		pending.add(o)
	}
}

// gather takes what else waits, so that one Step serves many. A certificate ends
// it: a Step takes one.
func (b *Box) gather(in *vault.Input) {
	for len(in.Replacement) == 0 {
		select {
		case more := <-b.in:
			in.NowMillis = max(in.NowMillis, more.NowMillis)
			in.Durable = max(in.Durable, more.Durable)
			in.Alerted = max(in.Alerted, more.Alerted)
			in.Kept = max(in.Kept, more.Kept)
			in.Requests = append(in.Requests, more.Requests...)
			in.Found = append(in.Found, more.Found...)
			in.Epoch = in.Epoch || more.Epoch
			in.Stopping = in.Stopping || more.Stopping
			in.Ticks = min(in.Ticks+more.Ticks, wire.TicksMax)
			if len(more.Order) > 0 {
				in.Order = more.Order
			}
			in.Replacement = more.Replacement
			if more.Layouts != nil {
				in.Layouts = more.Layouts
			}
			in.Received = append(in.Received, more.Received...)
		case r := <-b.done:
			in.Done = append(in.Done, r)
		default:
			return
		}
	}
}

// backlog is what the loop could not hand out yet.
type backlog struct {
	jobs []vault.Job
	out  wire.Out
	full bool
}

func (p *backlog) add(o vault.Output) {
	p.jobs = append(p.jobs, o.Jobs...)
	p.out.Append = append(p.out.Append, o.Append...)
	p.out.Replies = append(p.out.Replies, o.Replies...)
	p.out.Alerts = append(p.out.Alerts, o.Alerts...)
	p.out.Counts.Add(o.Counts)
	p.out.Reads = append(p.out.Reads, o.Reads...)
	p.out.Sends = append(p.out.Sends, o.Sends...)
	if o.Island != nil {
		p.out.Island = o.Island
	}
	if o.Checkpoint != nil { // the one before was kept: it is not in here any more
		p.out.Pages, p.out.Checkpoint = o.Pages, o.Checkpoint
	}
	p.full = p.full || len(o.Append)+len(o.Replies)+len(o.Alerts)+len(o.Reads)+len(o.Sends) > 0 || o.Island != nil || o.Checkpoint != nil || o.Counts != wire.Counts{}
}

// nextJob and nextOut give a nil channel, on which select never sends, when
// there is nothing to hand out.
func (p *backlog) nextJob(c chan<- vault.Job) (chan<- vault.Job, vault.Job) {
	if len(p.jobs) == 0 {
		return nil, nil
	}
	return c, p.jobs[0]
}

func (p *backlog) nextOut(c chan<- wire.Out) (chan<- wire.Out, wire.Out) {
	if !p.full {
		return nil, wire.Out{}
	}
	return c, p.out
}
