package change

// Delivery is one message as a host hands it over. The host holds its lock; the handler settles it by LockToken.
type Delivery struct {
	// Queue is the name of the queue it came from.
	Queue string
	// MessageID as the sender set it.
	MessageID string
	// LockToken is the lock, in RFC 4122 byte order.
	LockToken [16]byte
	// DeliveryCount is 1 on the first delivery.
	DeliveryCount int
	Body          []byte
}
