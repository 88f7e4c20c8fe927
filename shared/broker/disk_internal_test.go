package broker

// FillDisk lets the server's store take no further page of its disk.
func (s *Server) FillDisk() error { return s.store.Limit(1) }

// FreeDisk makes room again.
func (s *Server) FreeDisk() error { return s.store.Limit(0) }

// DiskFailure is why the store could not write at its last attempt.
func (s *Server) DiskFailure() error { return s.store.Failure() }
