package node

import (
	"testing"
	"time"
)

// A clock that is an hour ahead and then set right: the time that the box is
// told never goes back, never stands still, and is right again two hours later.
func TestCalendar(t *testing.T) {
	const step = 3 * time.Microsecond // a busy feeder's: half of it is no millisecond
	began := time.Now()
	wall := began.Round(0)
	var c calendar
	if told := c.tell(wall, began); !told.Equal(wall) {
		t.Fatalf("told %v, it is %v", told, wall)
	}
	ahead := c.tell(wall.Add(time.Hour), began)
	at := began
	for range 1000 {
		at = at.Add(step)
		c.tell(wall.Add(at.Sub(began)), at)
	}
	if told := c.tell(wall.Add(at.Sub(began)), at); told.Sub(ahead) != 1000*step/2 {
		t.Errorf("in %v the time went on by %v", 1000*step, told.Sub(ahead))
	}
	last := ahead
	for at = began.Add(time.Second); at.Sub(began) <= 2*time.Hour; at = at.Add(time.Second) {
		told := c.tell(wall.Add(at.Sub(began)), at)
		if !told.After(last) {
			t.Fatalf("after %v it was told %v, and then %v", at.Sub(began), last, told)
		}
		last = told
	}
	if told := c.tell(wall.Add(at.Sub(began)), at); !told.Equal(wall.Add(at.Sub(began))) {
		t.Errorf("two hours later it is told %v, and it is %v", told, wall.Add(at.Sub(began)))
	}
}
