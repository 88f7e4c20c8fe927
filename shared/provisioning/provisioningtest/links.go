package provisioningtest

import (
	"context"
	"strconv"
	"time"

	"github.com/tenantsync/tenantsync/shared/provisioning"
)

var (
	_ provisioning.Links   = (*World)(nil)
	_ provisioning.Journal = (*World)(nil)
)

type row struct {
	link  provisioning.Link
	lease provisioning.Lease // no Token: nobody has it
	dirty bool
	taken int
}

// Acquire implements provisioning.Links.
func (w *World) Acquire(ctx context.Context, key provisioning.LinkKey, holder string, now, until time.Time) (
	lease provisioning.Lease, link provisioning.Link, err error,
) {
	err = w.do(ctx, Acquire, func() error {
		r := w.links[key]
		if r == nil {
			r = &row{link: provisioning.Link{Key: key}}
			w.links[key] = r
		}
		if r.lease.Token != "" && now.Before(r.lease.Until) {
			if r.lease.Holder == holder {
				return provisioning.HeldBySame{Until: r.lease.Until}
			}
			r.dirty = true
			return provisioning.ErrLeaseHeld
		}
		r.taken++
		r.lease = provisioning.Lease{Key: key, Holder: holder, Token: strconv.Itoa(r.taken), Until: until}
		lease, link = r.lease, r.link
		return nil
	})
	return lease, link, err
}

// Save implements provisioning.Links.
func (w *World) Save(ctx context.Context, lease provisioning.Lease, link provisioning.Link) error {
	return w.do(ctx, Save, func() error {
		r, err := w.held(lease)
		if err != nil {
			return err
		}
		r.link = link
		return nil
	})
}

// Release implements provisioning.Links.
func (w *World) Release(ctx context.Context, lease provisioning.Lease, until time.Time) (extended provisioning.Lease, again bool, err error) {
	err = w.do(ctx, Release, func() error {
		r, err := w.held(lease)
		switch {
		case err != nil:
			return err
		case r.dirty:
			r.dirty, again = false, true
			r.lease.Until = until
		default:
			r.lease = provisioning.Lease{}
		}
		extended = r.lease
		return nil
	})
	return extended, again, err
}

func (w *World) held(lease provisioning.Lease) (*row, error) {
	r := w.links[lease.Key]
	if r == nil || r.lease.Token != lease.Token {
		return nil, provisioning.ErrLeaseLost
	}
	return r, nil
}

// Append implements provisioning.Journal.
func (w *World) Append(ctx context.Context, e provisioning.Entry) error {
	return w.do(ctx, Append, func() error {
		w.journal = append(w.journal, e)
		return nil
	})
}
