package sqlitestore

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/tenantsync/tenantsync/shared/provisioning"
)

var _ provisioning.Links = (*Store)(nil)

// page is how many links Linked reads at a time.
const page = 500

// Acquire is provisioning.Links. Taking over a lease that ran out clears its dirty mark: whoever takes it looks at
// today's truth, which is all that the mark asked for.
func (s *Store) Acquire(ctx context.Context, key provisioning.LinkKey, holder string, now, until time.Time) (provisioning.Lease, provisioning.Link, error) {
	lease := provisioning.Lease{Key: key, Holder: holder, Token: rand.Text(), Until: until}
	var link provisioning.Link
	if err := checkLease(lease, now); err != nil {
		return provisioning.Lease{}, link, fmt.Errorf("acquire link: %w", err)
	}
	var held error // a busy lease is an answer, not a failure: its dirty mark must be committed
	err := s.inTx(ctx, func(tx *sql.Tx) error {
		row, err := readRow(ctx, tx, key)
		if err != nil {
			return err
		}
		if row.token == "" || !row.until.After(now) {
			link = row.link
			return writeLease(ctx, tx, lease)
		}
		if row.holder == holder {
			held = provisioning.HeldBySame{Until: row.until}
			return nil
		}
		held = provisioning.ErrLeaseHeld
		_, err = tx.ExecContext(ctx, "UPDATE links SET dirty = 1 WHERE route = ? AND user = ?", key.Route, key.User)
		return err
	})
	if err == nil {
		err = held
	}
	if err != nil {
		return provisioning.Lease{}, provisioning.Link{}, fmt.Errorf("acquire link: %w", err)
	}
	return lease, link, nil
}

// Save is provisioning.Links. A lease that ran out still counts as ours until somebody else takes it: what matters is
// that nobody worked on the link meanwhile.
func (s *Store) Save(ctx context.Context, lease provisioning.Lease, link provisioning.Link) error {
	if link.Key != lease.Key {
		return errors.New("save link: the lease is for another link")
	}
	result, err := s.write.ExecContext(ctx, `UPDATE links SET state = ?, external = ?, inviting = ?, blocked = ?, left_at = ?, updated_at = ?
		WHERE route = ? AND user = ? AND lease_token = ? AND lease_token <> ''`,
		link.State, link.External, link.Inviting, link.Blocked, nanos(link.LeftAt), nanos(link.UpdatedAt), link.Key.Route, link.Key.User, lease.Token)
	if err != nil {
		return fmt.Errorf("save link: %w", err)
	}
	switch changed, err := result.RowsAffected(); {
	case err != nil:
		return fmt.Errorf("save link: %w", err)
	case changed == 0:
		return fmt.Errorf("save link: %w", provisioning.ErrLeaseLost)
	}
	return nil
}

// Release is provisioning.Links.
func (s *Store) Release(ctx context.Context, lease provisioning.Lease, until time.Time) (provisioning.Lease, bool, error) {
	var again bool
	err := s.inTx(ctx, func(tx *sql.Tx) error {
		row, err := readRow(ctx, tx, lease.Key)
		if err != nil {
			return err
		}
		if row.token == "" || row.token != lease.Token {
			return provisioning.ErrLeaseLost
		}
		if again = row.dirty; again {
			lease.Until = until
			return writeLease(ctx, tx, lease)
		}
		return writeLease(ctx, tx, provisioning.Lease{Key: lease.Key})
	})
	if err != nil {
		return provisioning.Lease{}, false, fmt.Errorf("release link: %w", err)
	}
	if !again {
		return provisioning.Lease{}, false, nil
	}
	return lease, true, nil
}

// Linked calls each for every link of the route that was ever saved, ordered by user, until each returns an error,
// which it returns as it is. The links are read in pages: each may call the Store, and changes made meanwhile may or
// may not be seen.
func (s *Store) Linked(ctx context.Context, route string, each func(provisioning.Link) error) error {
	after := ""
	for {
		links, err := s.linkedAfter(ctx, route, after)
		if err != nil {
			return fmt.Errorf("list links of %s: %w", route, err)
		}
		for _, link := range links {
			if err := each(link); err != nil {
				return err
			}
		}
		if len(links) < page {
			return nil
		}
		after = links[len(links)-1].Key.User
	}
}

func (s *Store) linkedAfter(ctx context.Context, route, user string) ([]provisioning.Link, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT user, state, external, inviting, blocked, left_at, updated_at FROM links
		WHERE route = ? AND user > ? AND state <> '' ORDER BY user LIMIT ?`, route, user, page)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var links []provisioning.Link
	for rows.Next() {
		link := provisioning.Link{Key: provisioning.LinkKey{Route: route}}
		var left, updated int64
		if err := rows.Scan(&link.Key.User, &link.State, &link.External, &link.Inviting, &link.Blocked, &left, &updated); err != nil {
			return nil, err
		}
		link.LeftAt, link.UpdatedAt = fromNanos(left), fromNanos(updated)
		links = append(links, link)
	}
	return links, rows.Err()
}

// row is one line of links.
type row struct {
	link          provisioning.Link
	token, holder string
	until         time.Time
	dirty         bool
}

// readRow reads a link and its lease; a link that is not there yet has only its key.
func readRow(ctx context.Context, tx *sql.Tx, key provisioning.LinkKey) (row, error) {
	r := row{link: provisioning.Link{Key: key}}
	var left, updated, until int64
	err := tx.QueryRowContext(ctx, `SELECT state, external, inviting, blocked, left_at, updated_at, held_at > 0, lease_token, lease_holder, lease_until, dirty
		FROM links WHERE route = ? AND user = ?`, key.Route, key.User).
		Scan(&r.link.State, &r.link.External, &r.link.Inviting, &r.link.Blocked, &left, &updated, &r.link.Held, &r.token, &r.holder, &until, &r.dirty)
	if errors.Is(err, sql.ErrNoRows) {
		return r, nil
	}
	r.link.LeftAt, r.link.UpdatedAt, r.until = fromNanos(left), fromNanos(updated), fromNanos(until)
	return r, err
}

// writeLease stores the lease, which may be nobody's, and clears the dirty mark.
func writeLease(ctx context.Context, tx *sql.Tx, l provisioning.Lease) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO links (route, user, lease_token, lease_holder, lease_until) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (route, user) DO UPDATE SET lease_token = excluded.lease_token, lease_holder = excluded.lease_holder,
			lease_until = excluded.lease_until, dirty = 0`,
		l.Key.Route, l.Key.User, l.Token, l.Holder, nanos(l.Until))
	return err
}

func checkLease(l provisioning.Lease, now time.Time) error {
	switch {
	case l.Key.Route == "" || l.Key.User == "":
		return errors.New("its key needs a route and a user")
	case l.Holder == "":
		return errors.New("nobody is to hold it: give the message id as holder")
	case !l.Until.After(now):
		return errors.New("the lease would end before it begins")
	}
	return nil
}
