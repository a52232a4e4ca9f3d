"""The shared cache (L2): the commands a cache sends to Redis or Valkey, and the meaning of their replies.

Imported by `engine` and everything above it.
"""
