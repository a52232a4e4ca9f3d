"""Settings from arguments and environment, server URLs, durations, sizes.

Imported by everything above it.
"""
