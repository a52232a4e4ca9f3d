"""The caching rules, written once, as coroutines that await only their ports; they know no tier and no event loop.

Imported by `shared` (the types of its answers), `engine` and `api`.
"""
