// Package sqlitestore keeps the history of state machine executions in a
// SQLite file.
//
// [Open] returns a [Store], which is an asl.History: give it to asl.Run. Events
// given to [Store.Append] are on disk when it returns.
//
// # Caveats
//
// Executions that append at the same time share one commit, which is what makes
// many of them fast. Two processes may open one file; that both run the same
// execution is noticed and refused, not prevented.
package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"sync"

	"github.com/bartizan-security/bartizan/asl"

	_ "modernc.org/sqlite" // the driver
)

// Store is an open file.
type Store struct {
	db     *sql.DB
	work   chan *appended
	done   chan struct{}
	closed chan struct{}
	once   sync.Once
}

var _ asl.History = (*Store)(nil)

type appended struct {
	ctx       context.Context
	execution string
	from      int
	events    []asl.Event
	result    chan error
}

const schema = `
CREATE TABLE IF NOT EXISTS event (
	execution TEXT    NOT NULL,
	n         INTEGER NOT NULL,
	body      BLOB    NOT NULL,
	PRIMARY KEY (execution, n)
) WITHOUT ROWID;`

// Open opens or makes the file. Close it when no execution uses it any more.
func Open(ctx context.Context, path string) (*Store, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open history: %w", err)
	}
	u := url.URL{Scheme: "file", Path: filepath.ToSlash(abs), RawQuery: url.Values{"_pragma": {
		"journal_mode(WAL)", "synchronous(FULL)", "busy_timeout(10000)",
	}}.Encode()}
	db, err := sql.Open("sqlite", u.String())
	if err != nil {
		return nil, fmt.Errorf("open history %s: %w", path, err)
	}
	db.SetMaxOpenConns(4)
	if _, err := db.ExecContext(ctx, schema); err != nil {
		db.Close()
		return nil, fmt.Errorf("open history %s: %w (is the disk full or read-only?)", path, err)
	}
	s := &Store{db: db, work: make(chan *appended), done: make(chan struct{}), closed: make(chan struct{})}
	go s.write()
	return s, nil
}

// Close waits for what is being written and closes the file.
func (s *Store) Close() error {
	var err error
	s.once.Do(func() {
		close(s.done)
		<-s.closed
		err = s.db.Close()
	})
	return err
}

// Load returns all events of an execution.
func (s *Store) Load(ctx context.Context, execution string) ([]asl.Event, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT n, body FROM event WHERE execution = ? ORDER BY n`, execution)
	if err != nil {
		return nil, fmt.Errorf("read history of %s: %w", execution, err)
	}
	defer rows.Close()
	var out []asl.Event
	for rows.Next() {
		var n int
		var body []byte
		if err := rows.Scan(&n, &body); err != nil {
			return nil, fmt.Errorf("read history of %s: %w", execution, err)
		}
		if n != len(out) {
			return nil, fmt.Errorf("read history of %s: event %d is missing", execution, len(out))
		}
		e, err := asl.DecodeEvent(body)
		if err != nil {
			return nil, fmt.Errorf("read history of %s: %w", execution, err)
		}
		out = append(out, e)
	}
	return out, rows.Err()
}

// Executions returns the ids of all executions in the file, sorted.
func (s *Store) Executions(ctx context.Context) ([]string, error) {
	rows, err := s.db.QueryContext(ctx, `SELECT execution FROM event WHERE n = 0 ORDER BY execution`)
	if err != nil {
		return nil, fmt.Errorf("list executions: %w", err)
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, fmt.Errorf("list executions: %w", err)
		}
		out = append(out, id)
	}
	return out, rows.Err()
}

// Append records events; they are on disk when it returns nil.
func (s *Store) Append(ctx context.Context, execution string, from int, events []asl.Event) error {
	a := &appended{ctx: ctx, execution: execution, from: from, events: events, result: make(chan error, 1)}
	select {
	case s.work <- a:
	case <-s.done:
		return errors.New("append to history: the store is closed")
	}
	return <-a.result
}

const mostTogether = 256 // appends in one commit

// write commits what is waiting, all of it in one transaction.
func (s *Store) write() {
	defer close(s.closed)
	for {
		var batch []*appended
		select {
		case a := <-s.work:
			batch = append(batch, a)
		case <-s.done:
			return
		}
	gather:
		for len(batch) < mostTogether {
			select {
			case a := <-s.work:
				batch = append(batch, a)
			default:
				break gather
			}
		}
		s.commit(batch)
	}
}

// commit writes a batch; if that fails each append is tried alone, so that one
// conflict does not fail the others.
func (s *Store) commit(batch []*appended) {
	err := s.together(batch)
	if err != nil && len(batch) > 1 {
		for _, a := range batch {
			a.result <- s.together([]*appended{a})
		}
		return
	}
	for _, a := range batch {
		a.result <- err
	}
}

func (s *Store) together(batch []*appended) error {
	ctx := context.WithoutCancel(batch[0].ctx) // a commit is never cut in two
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("append to history: %w", err)
	}
	defer tx.Rollback() //nolint:errcheck // after a commit it does nothing
	insert, err := tx.PrepareContext(ctx, `INSERT INTO event (execution, n, body) VALUES (?, ?, ?)`)
	if err != nil {
		return fmt.Errorf("append to history: %w", err)
	}
	defer insert.Close()
	for _, a := range batch {
		var n int
		if err := tx.QueryRowContext(ctx, `SELECT coalesce(max(n), -1) + 1 FROM event WHERE execution = ?`, a.execution).Scan(&n); err != nil {
			return fmt.Errorf("append to history: %w", err)
		}
		if n != a.from {
			return fmt.Errorf("append to history of %s: %w", a.execution, asl.ErrConflict)
		}
		for i := range a.events {
			if _, err := insert.ExecContext(ctx, a.execution, a.from+i, a.events[i].Encode()); err != nil {
				return fmt.Errorf("append to history of %s: %w (is the disk full or read-only?)", a.execution, err)
			}
		}
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("append to history: %w (is the disk full or read-only?)", err)
	}
	return nil
}
