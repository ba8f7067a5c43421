package livesync

// BatchConn is for tests of the real socket.
type BatchConn = batchConn
