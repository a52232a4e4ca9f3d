"""The near cache (L1) and what keeps it true; only `coherence` knows both an invalidation and the store.

Imported by `shared` and everything above it.
"""
