"""Runs a cache on an event loop: its waits, its connection, its way to the server.

Imported by the rest of `engine` and by `api`.
"""
