package broker

// Held is how many bytes the server holds for its clients besides the messages in its queues.
func (s *Server) Held() int64 { return s.held.used.Load() }

// LimitHeld replaces the limit of Held.
func (s *Server) LimitHeld(n int64) { s.held.limit = n }

// Open is the number of connections that are open.
func (s *Server) Open() int64 { return s.admitted.Load() }

// MaxLinks is how many links a connection may have.
const MaxLinks = maxLinks
