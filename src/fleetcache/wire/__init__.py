"""The way to the server: addresses, bytes to frames and back, states of the connection, and shells that do the I/O."""
