"""The public API: Cache, SyncCache, decorators, namespaces, views.

Imported by the package's own `__init__`, `cli` and `testing`.
"""
