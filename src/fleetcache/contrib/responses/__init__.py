"""Cached responses of endpoints: the rules of HTTP, the keys, and how a response is made and stored.

The public name is ``fleetcache.contrib.fastapi.cached_response``.
"""
