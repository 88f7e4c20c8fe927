package sqlitestore

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
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
	granted, err := grantsToText(link.Granted)
	if err != nil {
		return fmt.Errorf("save link: %w", err)
	}
	revoked, err := grantsToText(link.Revoked)
	if err != nil {
		return fmt.Errorf("save link: %w", err)
	}
	result, err := s.write.ExecContext(ctx, `UPDATE links SET state = ?, external = ?, inviting = ?, blocked = ?, left_at = ?, updated_at = ?,
		manager = ?, manager_as = ?, granted = ?, revoked = ?, dead = ?
		WHERE route = ? AND user = ? AND lease_token = ? AND lease_token <> ''`,
		link.State, link.External, link.Inviting, link.Blocked, nanos(link.LeftAt), nanos(link.UpdatedAt), link.Manager, link.ManagerAs, granted, revoked, link.Dead,
		link.Key.Route, link.Key.User, lease.Token)
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
	rows, err := s.read.QueryContext(ctx, "SELECT user, "+linkColumns+" FROM links WHERE route = ? AND user > ? AND state <> '' ORDER BY user LIMIT ?",
		route, user, page)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var links []provisioning.Link
	for rows.Next() {
		link := provisioning.Link{Key: provisioning.LinkKey{Route: route}}
		if err := scanLink(rows, &link, []any{&link.Key.User}, nil); err != nil {
			return nil, err
		}
		links = append(links, link)
	}
	return links, rows.Err()
}

// CountLinked counts the links of a route whose external user should be there.
func (s *Store) CountLinked(ctx context.Context, route string) (n int, err error) {
	err = s.read.QueryRowContext(ctx, "SELECT count(*) FROM links WHERE route = ? AND state = 'active'", route).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count links of %s: %w", route, err)
	}
	return n, nil
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
	var until int64
	one := tx.QueryRowContext(ctx, "SELECT "+linkColumns+", lease_token, lease_holder, lease_until, dirty FROM links WHERE route = ? AND user = ?", key.Route, key.User)
	err := scanLink(one, &r.link, nil, []any{&r.token, &r.holder, &until, &r.dirty})
	if errors.Is(err, sql.ErrNoRows) {
		return r, nil
	}
	r.until = fromNanos(until)
	return r, err
}

// linkColumns are those of a link without its key, in the order of scanLink.
const linkColumns = "state, external, inviting, blocked, left_at, updated_at, held_at > 0, departed_as = 'approved', manager, manager_as, granted, revoked, dead"

// scanLink reads linkColumns, and what stands before and after them.
func scanLink(from interface{ Scan(...any) error }, l *provisioning.Link, before, after []any) error {
	var left, updated int64
	var granted, revoked string
	columns := []any{&l.State, &l.External, &l.Inviting, &l.Blocked, &left, &updated, &l.Held, &l.Approved, &l.Manager, &l.ManagerAs, &granted, &revoked, &l.Dead}
	err := from.Scan(slices.Concat(before, columns, after)...)
	if err != nil {
		return err
	}
	l.LeftAt, l.UpdatedAt = fromNanos(left), fromNanos(updated)
	return errors.Join(grantsFromText(granted, &l.Granted), grantsFromText(revoked, &l.Revoked))
}

func grantsFromText(text string, into *[]provisioning.Grant) error {
	if text == "" {
		return nil
	}
	return json.Unmarshal([]byte(text), into)
}

func grantsToText(grants []provisioning.Grant) (string, error) {
	if len(grants) == 0 {
		return "", nil
	}
	text, err := json.Marshal(grants)
	return string(text), err
}

// Find is provisioning.Links.
func (s *Store) Find(ctx context.Context, key provisioning.LinkKey) (provisioning.Link, bool, error) {
	link := provisioning.Link{Key: key}
	err := scanLink(s.read.QueryRowContext(ctx, "SELECT "+linkColumns+" FROM links WHERE route = ? AND user = ?", key.Route, key.User), &link, nil, nil)
	if errors.Is(err, sql.ErrNoRows) {
		return link, false, nil
	}
	if err != nil {
		return link, false, fmt.Errorf("find link: %w", err)
	}
	return link, true, nil
}

// Reports is provisioning.Links.
func (s *Store) Reports(ctx context.Context, manager provisioning.LinkKey, external string) ([]string, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT user FROM links INDEXED BY links_by_manager WHERE route = ? AND manager = ? AND state = 'active' AND left_at = 0 AND (?3 = '' OR manager_as <> ?3) ORDER BY user`,
		manager.Route, manager.User, external)
	if err != nil {
		return nil, fmt.Errorf("list reports: %w", err)
	}
	users, err := texts(rows)
	if err != nil {
		return nil, fmt.Errorf("list reports: %w", err)
	}
	return users, nil
}

// texts reads rows of one text each.
func texts(rows *sql.Rows) (all []string, err error) {
	defer rows.Close()
	for rows.Next() {
		var one string
		if err := rows.Scan(&one); err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, rows.Err()
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
