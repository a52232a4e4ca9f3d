"""The near cache (L1) and its coherence; only `coherence` knows both an invalidation and the store.

Imported by `shared` and everything above it.
"""
