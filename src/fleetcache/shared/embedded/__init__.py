"""An embedded server: one real Valkey for all processes of one user on one host, started and ended by these processes.

``CACHE_DRIVER=embedded`` uses it; other drivers import nothing of this package. docs/embedded.md describes it in full.
"""
