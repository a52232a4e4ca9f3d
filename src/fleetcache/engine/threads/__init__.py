"""Runs a cache on threads: their lock, their waits, the connection that they share.

Imported by the rest of `engine`, by `api` and `testing`.
"""
