package logs

import "io"

// ahead reads a source in a goroutine of its own, a few blocks ahead.
type ahead struct {
	full    chan block
	free    chan []byte
	done    chan struct{}
	ended   chan struct{}
	current block
	at      int
}

type block struct {
	text []byte
	err  error
}

const blocks, blockSize = 3, 256 << 10

func readAhead(r io.Reader) *ahead {
	a := &ahead{full: make(chan block, blocks), free: make(chan []byte, blocks), done: make(chan struct{}), ended: make(chan struct{})}
	for range blocks {
		a.free <- make([]byte, blockSize)
	}
	go a.run(r)
	return a
}

func (a *ahead) run(r io.Reader) {
	defer close(a.ended)
	defer close(a.full)
	for {
		var buf []byte
		select {
		case buf = <-a.free:
		case <-a.done:
			return
		}
		n, err := 0, error(nil)
		for n < blockSize && err == nil {
			var m int
			m, err = r.Read(buf[n:blockSize])
			n += m
		}
		select {
		case a.full <- block{buf[:n], err}:
		case <-a.done:
			return
		}
		if err != nil {
			return
		}
	}
}

func (a *ahead) Read(p []byte) (int, error) {
	for a.at == len(a.current.text) {
		if a.current.err != nil {
			return 0, a.current.err
		}
		if a.current.text != nil {
			a.free <- a.current.text[:blockSize]
		}
		var ok bool
		if a.current, ok = <-a.full; !ok {
			return 0, io.EOF
		}
		a.at = 0
	}
	n := copy(p, a.current.text[a.at:])
	a.at += n
	return n, nil
}

// stop ends the goroutine and waits for it, so that the source can be closed.
func (a *ahead) stop() {
	close(a.done)
	<-a.ended
}
