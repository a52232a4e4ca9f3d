"""The shared tier (L2): what a cache says to Redis or Valkey, and what the replies mean.

Imported by `engine` and everything above it.
"""
