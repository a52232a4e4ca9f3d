"""The stored format: key layout, entry header, values as bytes, signatures. A change here is a change of format.

Imported by everything above it.
"""
