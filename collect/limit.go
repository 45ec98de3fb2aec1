package collect

import (
	"context"
	"sync"
)

// limiter lets a bounded number of calls to one service in one region run at
// once. Throttling halves the number; as many answers as are allowed at once
// raise it by one again, up to where it began.
type limiter struct {
	mu      sync.Mutex
	most    int
	allowed int
	running int
	good    int
	waiting []chan struct{}
}

func newLimiter(most int) *limiter { return &limiter{most: most, allowed: most} }

func (l *limiter) acquire(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	l.mu.Lock()
	if l.running < l.allowed {
		l.running++
		l.mu.Unlock()
		return nil
	}
	turn := make(chan struct{})
	l.waiting = append(l.waiting, turn)
	l.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
		l.mu.Lock()
		defer l.mu.Unlock()
		for i, w := range l.waiting {
			if w == turn {
				l.waiting = append(l.waiting[:i], l.waiting[i+1:]...)
				return ctx.Err()
			}
		}
		// The turn came at the same moment: pass it on.
		l.running--
		l.wake()
		return ctx.Err()
	}
}

func (l *limiter) release(throttled bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running--
	if throttled {
		l.allowed, l.good = max(1, l.allowed/2), 0
	} else if l.good++; l.good >= l.allowed && l.allowed < l.most {
		l.allowed, l.good = l.allowed+1, 0
	}
	l.wake()
}

func (l *limiter) wake() {
	for l.running < l.allowed && len(l.waiting) > 0 {
		close(l.waiting[0])
		l.waiting = l.waiting[1:]
		l.running++
	}
}

// limits are the limiters of one account: AWS throttles each account by itself.
type limits struct {
	mu sync.Mutex
	by map[string]*limiter
}

func (l *limits) of(service, region string, most int) *limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := service + " " + region
	if l.by == nil {
		l.by = map[string]*limiter{}
	}
	if l.by[key] == nil {
		l.by[key] = newLimiter(most)
	}
	return l.by[key]
}
