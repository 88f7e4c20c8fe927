package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/tenantsync/tenantsync/shared/guard"
	"github.com/tenantsync/tenantsync/shared/provisioning"
)

var _ provisioning.Guard = (*Store)(nil)

// Verdicts of a person about a departure that is held.
const (
	approved = "approved"
	rejected = "rejected"
)

// As what a user departed.
const (
	departedForced   = "forced"   // a block that nothing holds; a removal after it is another departure
	departedCounted  = "counted"  // within the limits
	departedApproved = "approved" // by a person: it does not count against the limits
	departedBack     = "back"     // by a person, and the user came back since: the next departure is another one
)

// Admit is provisioning.Guard. Counting and deciding are one transaction, so that many at once cannot be too many. The link must be there.
func (s *Store) Admit(ctx context.Context, d guard.Departure, l guard.Limits) (v guard.Verdict, err error) {
	err = s.inTx(ctx, func(tx *sql.Tx) error {
		v, err = admit(ctx, tx, d, l)
		return err
	})
	if err != nil {
		return guard.Verdict{}, fmt.Errorf("admit a departure: %w", err)
	}
	return v, nil
}

func admit(ctx context.Context, tx *sql.Tx, d guard.Departure, l guard.Limits) (v guard.Verdict, err error) {
	var departed int64
	var held bool
	var as, verdict string
	err = tx.QueryRowContext(ctx, "SELECT departed_at, departed_as, held_at > 0, verdict FROM links WHERE route = ? AND user = ?", d.Route, d.User).
		Scan(&departed, &as, &held, &verdict)
	if errors.Is(err, sql.ErrNoRows) {
		return v, errors.New("there is no such link")
	}
	if err != nil {
		return v, err
	}
	since := nanos(d.At.Add(-l.Window))
	var active int
	err = tx.QueryRowContext(ctx, `SELECT
		(SELECT count(*) FROM links WHERE route = ?1 AND state = 'active' AND departed_at <= ?2 AND user <> ?3),
		(SELECT count(*) FROM links WHERE route = ?1 AND departed_at > ?2 AND departed_as IN ('forced', 'counted') AND user <> ?3)`, d.Route, since, d.User).
		Scan(&active, &v.Departed)
	if err != nil {
		return v, err
	}
	v.Allowed = l.Allowed(active + v.Departed + 1)
	// It was admitted already, and may not have happened yet. What is held since is another departure.
	again := departed > since && !held && (as == departedCounted || as == departedApproved || as == departedForced && d.Forced)
	switch {
	case held && verdict == approved && !d.Forced:
		as = departedApproved
	case again:
	case d.Forced:
		as = departedForced
	case !held && v.Departed < v.Allowed:
		as = departedCounted
	default: // and whoever was held before waits until somebody decides, though there may be room by now
		v.Held = true
		_, err = tx.ExecContext(ctx, "UPDATE links SET held_at = iif(held_at = 0, ?, held_at), held_reason = ?, verdict = iif(held_at = 0, '', verdict) WHERE route = ? AND user = ?",
			nanos(d.At), d.Reason, d.Route, d.User)
		return v, err
	}
	if as != departedApproved {
		v.Departed++
	}
	// A forced block does not answer for the departure that is held.
	_, err = tx.ExecContext(ctx, `UPDATE links SET departed_at = ?1, departed_as = ?2, held_at = iif(?3, held_at, 0), held_reason = iif(?3, held_reason, ''),
		verdict = iif(?3, verdict, '') WHERE route = ?4 AND user = ?5`, max(departed, nanos(d.At)), as, d.Forced, d.Route, d.User)
	return v, err
}

// Withdraw is provisioning.Guard.
func (s *Store) Withdraw(ctx context.Context, key provisioning.LinkKey) error {
	_, err := s.write.ExecContext(ctx, `UPDATE links SET held_at = 0, held_reason = '', verdict = '', departed_as = iif(departed_as = 'approved', 'back', departed_as)
		WHERE route = ? AND user = ?`, key.Route, key.User)
	if err != nil {
		return fmt.Errorf("withdraw a departure: %w", err)
	}
	return nil
}

// Held lists the departures that are held on a route, the oldest first; "" is all routes.
func (s *Store) Held(ctx context.Context, route string) (list []guard.Held, err error) {
	rows, err := s.read.QueryContext(ctx, `SELECT route, user, external, held_reason, held_at, verdict = 'rejected', verdict = 'approved' FROM links
		WHERE held_at > 0 AND (?1 = '' OR route = ?1) ORDER BY held_at, user`, route)
	if err != nil {
		return nil, fmt.Errorf("list departures that are held: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var h guard.Held
		var since int64
		if err := rows.Scan(&h.Route, &h.User, &h.External, &h.Reason, &since, &h.Rejected, &h.Approved); err != nil {
			return nil, fmt.Errorf("list departures that are held: %w", err)
		}
		h.Since = fromNanos(since)
		list = append(list, h)
	}
	return list, rows.Err()
}

// Decide approves or rejects departures that are held, and returns the users they are of. No users at all are all of the route, but
// approving all leaves out those that were rejected one by one.
func (s *Store) Decide(ctx context.Context, route string, users []string, approve bool) (decided []string, err error) {
	verdict, where := rejected, ""
	if approve {
		verdict, where = approved, " AND verdict <> 'rejected'"
	}
	err = s.inTx(ctx, func(tx *sql.Tx) error {
		if len(users) == 0 {
			decided, err = decide(ctx, tx, "UPDATE links SET verdict = ? WHERE route = ? AND held_at > 0"+where+" RETURNING user", verdict, route)
			return err
		}
		for _, user := range users {
			some, err := decide(ctx, tx, "UPDATE links SET verdict = ? WHERE route = ? AND held_at > 0 AND user = ? RETURNING user", verdict, route, user)
			if err != nil {
				return err
			}
			decided = append(decided, some...)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("decide about departures: %w", err)
	}
	return decided, nil
}

func decide(ctx context.Context, tx *sql.Tx, update string, args ...any) (users []string, err error) {
	rows, err := tx.QueryContext(ctx, update, args...)
	if err != nil {
		return nil, err
	}
	return texts(rows)
}
