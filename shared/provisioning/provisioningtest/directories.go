package provisioningtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tenantsync/tenantsync/shared/outcome"
	"github.com/tenantsync/tenantsync/shared/provisioning"
)

var _ provisioning.Directories = (*World)(nil)

// Source opens the source tenant.
func (w *World) Source(tenantID string) (provisioning.Source, error) {
	if tenantID != Route.Source.ID {
		return nil, fmt.Errorf("there is no source tenant %s", tenantID)
	}
	return source{w}, nil
}

// Target opens the target tenant.
func (w *World) Target(tenantID string) (provisioning.Target, error) {
	if tenantID != Route.Target.ID {
		return nil, fmt.Errorf("there is no target tenant %s", tenantID)
	}
	return target{w}, nil
}

type source struct{ w *World }

func (s source) User(ctx context.Context, id string) (user provisioning.User, err error) {
	err = s.w.do(ctx, User, func() error {
		p := s.w.people[id]
		if p == nil || p.deleted {
			return provisioning.ErrNotFound
		}
		user = p.user
		if boss := s.w.people[user.Manager]; boss == nil || boss.deleted { // it is not shown, until it is restored
			user.Manager = ""
		}
		user.Attributes, user.Groups = provisioning.Attributes{}, nil
		write(user.Attributes, p.user.Attributes)
		return nil
	})
	return user, err
}

func (s source) Groups(ctx context.Context, id string, groups []string) (in []string, err error) {
	err = s.w.do(ctx, Groups, func() error {
		p := s.w.people[id]
		if p == nil || p.deleted {
			return provisioning.ErrNotFound
		}
		in = slices.DeleteFunc(slices.Clone(groups), func(g string) bool { return !slices.Contains(p.user.Groups, g) })
		return nil
	})
	return in, err
}

func (s source) Deleted(ctx context.Context, id string) (deleted bool, err error) {
	err = s.w.do(ctx, Deleted, func() error {
		p := s.w.people[id]
		deleted = p != nil && p.deleted
		return nil
	})
	return deleted, err
}

type target struct{ w *World }

func (t target) External(ctx context.Context, id string) (found provisioning.External, err error) {
	err = t.w.do(ctx, External, func() error {
		e, ok := t.w.objects[id]
		if _, known := t.w.seen()[id]; !ok || t.w.blind && !known {
			return provisioning.ErrNotFound
		}
		found = clone(e)
		return nil
	})
	return found, err
}

func (t target) ByKey(ctx context.Context, sourceKey string) (found []provisioning.External, err error) {
	err = t.w.do(ctx, ByKey, func() error {
		found = t.w.search(func(e provisioning.External) bool { return e.SourceKey == sourceKey })
		return nil
	})
	return found, err
}

func (t target) ByMail(ctx context.Context, address string) (found []provisioning.External, err error) {
	err = t.w.do(ctx, ByMail, func() error {
		found = t.w.search(func(e provisioning.External) bool { return !e.Deleted && hasAddress(e, address) })
		return nil
	})
	return found, err
}

func (t target) Invite(ctx context.Context, address, displayName string) (id string, err error) {
	err = t.w.do(ctx, Invite, func() error {
		if holder, taken := t.w.holder(address); taken {
			return provisioning.Exists{ID: holder}
		}
		id = t.w.id("target")
		t.w.objects[id] = typed(provisioning.External{ID: id, Invited: true, Attributes: provisioning.Attributes{
			provisioning.AttrAccountEnabled: true,
			provisioning.AttrUserType:       provisioning.Guest,
			provisioning.AttrMail:           address,
			provisioning.AttrDisplayName:    displayName,
		}})
		return nil
	})
	return id, err
}

// notNull are the properties that Graph refuses to clear.
var notNull = []string{
	provisioning.AttrDisplayName, provisioning.AttrMail, provisioning.AttrUsageLocation, provisioning.AttrAccountEnabled,
}

func (t target) Update(ctx context.Context, id string, attributes provisioning.Attributes, sourceKey string) error {
	return t.w.do(ctx, Update, func() error {
		e, ok := t.w.objects[id]
		if !ok || e.Deleted {
			return provisioning.ErrNotFound
		}
		for name, value := range attributes {
			if value == nil && slices.Contains(notNull, name) {
				return outcome.Fail("bad request", fmt.Errorf("property %s cannot be cleared", name))
			}
		}
		e = clone(e)
		write(e.Attributes, attributes)
		if sourceKey != "" {
			e.SourceKey = sourceKey
		}
		t.w.objects[id] = typed(e)
		return nil
	})
}

func (t target) Remove(ctx context.Context, id string) error {
	return t.w.do(ctx, Remove, func() error {
		if e, ok := t.w.objects[id]; ok {
			e.Deleted = true
			t.w.objects[id] = e
		}
		return nil
	})
}

func (t target) Restore(ctx context.Context, id string) error {
	return t.w.do(ctx, Restore, func() error {
		e, ok := t.w.objects[id]
		if !ok || !e.Deleted {
			return provisioning.ErrNotFound
		}
		mail, _ := e.Attributes[provisioning.AttrMail].(string)
		if _, taken := t.w.holder(mail); taken {
			return outcome.Fail("address in use", errors.New("a live user has the address of the one to restore"))
		}
		e.Deleted = false
		t.w.objects[id] = e
		return nil
	})
}

// holder finds the live object that has an address: the directory itself never lags.
func (w *World) holder(address string) (string, bool) {
	for id, e := range w.objects {
		if !e.Deleted && hasAddress(e, address) {
			return id, true
		}
	}
	return "", false
}

func hasAddress(e provisioning.External, address string) bool {
	mail, _ := e.Attributes[provisioning.AttrMail].(string)
	return address != "" && strings.EqualFold(mail, address)
}
