"""What users call: Cache, SyncCache, decorators, namespaces, views.

Imported by the package's own `__init__`, `cli` and `testing`.
"""
