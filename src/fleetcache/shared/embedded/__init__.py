"""An embedded server: one real Valkey for all processes of one user on one host, started and ended by themselves.

``CACHE_DRIVER=embedded`` uses it; nothing of it is imported otherwise. docs/embedded.md tells the whole of it.
"""
