"""One connection to the server without any I/O: bytes in, frames out, states, handshake, timers as numbers.

Imported by everything above it.
"""
