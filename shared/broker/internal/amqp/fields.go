package amqp

import (
	"fmt"
	"math"
)

// fieldReader takes a performative's fields from a list and remembers the first of a wrong type.
type fieldReader struct {
	list List
	err  error
}

// field is the value at position i, or def if it is null or missing.
func field[T any](r *fieldReader, i int, def T) T {
	if i >= len(r.list) || r.list[i] == nil {
		return def
	}
	v, ok := r.list[i].(T)
	if !ok {
		if r.err == nil {
			r.err = fmt.Errorf("field %d is %T, want %T", i, r.list[i], def)
		}
		return def
	}
	return v
}

// optional is the value at position i, or nil if it is null or missing.
func optional[T any](r *fieldReader, i int) *T {
	if i >= len(r.list) || r.list[i] == nil {
		return nil
	}
	return new(field(r, i, *new(T)))
}

// orNil is what the wire gets for an optional field.
func orNil[T any](p *T) any {
	if p == nil {
		return nil
	}
	return *p
}

func stringOrNil(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func mapOrNil(m Map) any {
	if len(m) == 0 {
		return nil
	}
	return m
}

func (o *Open) fields() List {
	return List{o.ContainerID, nil, o.MaxFrameSize, o.ChannelMax, o.IdleTimeout}
}

func (o *Open) read(r *fieldReader) {
	o.ContainerID = field(r, 0, "")
	o.MaxFrameSize = field(r, 2, uint32(math.MaxUint32))
	o.ChannelMax = field(r, 3, uint16(math.MaxUint16))
	o.IdleTimeout = field(r, 4, uint32(0))
}

func (b *Begin) fields() List {
	return List{orNil(b.RemoteChannel), b.NextOutgoingID, b.IncomingWindow, b.OutgoingWindow, b.HandleMax}
}

func (b *Begin) read(r *fieldReader) {
	b.RemoteChannel = optional[uint16](r, 0)
	b.NextOutgoingID = field(r, 1, uint32(0))
	b.IncomingWindow = field(r, 2, uint32(0))
	b.OutgoingWindow = field(r, 3, uint32(0))
	b.HandleMax = field(r, 4, uint32(math.MaxUint32))
}

func (a *Attach) fields() List {
	return List{a.Name, a.Handle, a.Role, a.SenderSettleMode, a.ReceiverSettleMode, a.Source, a.Target, nil, nil,
		orNil(a.InitialDeliveryCount), orNil(a.MaxMessageSize), nil, nil, mapOrNil(a.Properties)}
}

func (a *Attach) read(r *fieldReader) {
	a.Name = field(r, 0, "")
	a.Handle = field(r, 1, uint32(0))
	a.Role = field(r, 2, RoleSender)
	a.SenderSettleMode = field(r, 3, SenderMixed)
	a.ReceiverSettleMode = field(r, 4, ReceiverFirst)
	a.Source = field[any](r, 5, nil)
	a.Target = field[any](r, 6, nil)
	a.InitialDeliveryCount = optional[uint32](r, 9)
	a.MaxMessageSize = optional[uint64](r, 10)
	a.Properties = field(r, 13, Map(nil))
}

// SourceAddress is the address messages come from, "" if there is none.
func (a *Attach) SourceAddress() string { return address(a.Source) }

// TargetAddress is the address messages go to, "" if there is none.
func (a *Attach) TargetAddress() string { return address(a.Target) }

// address is the first field of a source or target.
func address(terminus any) string {
	d, _ := terminus.(Described)
	list, _ := d.Value.(List)
	if len(list) == 0 {
		return ""
	}
	s, _ := list[0].(string)
	return s
}

func (f *Flow) fields() List {
	return List{orNil(f.NextIncomingID), f.IncomingWindow, f.NextOutgoingID, f.OutgoingWindow, orNil(f.Handle),
		orNil(f.DeliveryCount), orNil(f.LinkCredit), nil, f.Drain, f.Echo}
}

func (f *Flow) read(r *fieldReader) {
	f.NextIncomingID = optional[uint32](r, 0)
	f.IncomingWindow = field(r, 1, uint32(0))
	f.NextOutgoingID = field(r, 2, uint32(0))
	f.OutgoingWindow = field(r, 3, uint32(0))
	f.Handle = optional[uint32](r, 4)
	f.DeliveryCount = optional[uint32](r, 5)
	f.LinkCredit = optional[uint32](r, 6)
	f.Drain = field(r, 8, false)
	f.Echo = field(r, 9, false)
}

func (t *Transfer) fields() List {
	var tag any
	if t.DeliveryTag != nil {
		tag = t.DeliveryTag
	}
	list := List{t.Handle, orNil(t.DeliveryID), tag, orNil(t.MessageFormat), t.Settled, t.More}
	if t.Aborted {
		list = append(list, nil, nil, nil, true)
	}
	return list
}

func (t *Transfer) read(r *fieldReader) {
	t.Handle = field(r, 0, uint32(0))
	t.DeliveryID = optional[uint32](r, 1)
	t.DeliveryTag = field(r, 2, []byte(nil))
	t.MessageFormat = optional[uint32](r, 3)
	t.Settled = field(r, 4, false)
	t.More = field(r, 5, false)
	t.Aborted = field(r, 9, false)
}

func (d *Disposition) fields() List {
	return List{d.Role, d.First, orNil(d.Last), d.Settled, d.State}
}

func (d *Disposition) read(r *fieldReader) {
	d.Role = field(r, 0, RoleSender)
	d.First = field(r, 1, uint32(0))
	d.Last = optional[uint32](r, 2)
	d.Settled = field(r, 3, false)
	d.State = field[any](r, 4, nil)
}

func (d *Detach) fields() List { return List{d.Handle, d.Closed, errorValue(d.Error)} }

func (d *Detach) read(r *fieldReader) {
	d.Handle = field(r, 0, uint32(0))
	d.Closed = field(r, 1, false)
	d.Error = readError(field[any](r, 2, nil))
}

func (e *End) fields() List        { return List{errorValue(e.Error)} }
func (e *End) read(r *fieldReader) { e.Error = readError(field[any](r, 0, nil)) }

func (c *Close) fields() List        { return List{errorValue(c.Error)} }
func (c *Close) read(r *fieldReader) { c.Error = readError(field[any](r, 0, nil)) }

func (m *SASLMechanisms) fields() List {
	names := Array{Code: 0xb3}
	for _, name := range m.Mechanisms {
		names.Items = append(names.Items, name)
	}
	return List{names}
}

func (m *SASLMechanisms) read(r *fieldReader) {
	for _, item := range field(r, 0, Array{}).Items {
		if name, ok := item.(Symbol); ok {
			m.Mechanisms = append(m.Mechanisms, name)
		}
	}
}

func (i *SASLInit) fields() List { return List{i.Mechanism, i.InitialResponse} }

func (i *SASLInit) read(r *fieldReader) {
	i.Mechanism = field(r, 0, Symbol(""))
	i.InitialResponse = field(r, 1, []byte(nil))
}

func (o *SASLOutcome) fields() List        { return List{o.Code} }
func (o *SASLOutcome) read(r *fieldReader) { o.Code = field(r, 0, uint8(0)) }
