"""Responses of endpoints, answered again: what HTTP says of it, what decides an answer, how one is made and kept.

Users meet it as ``fleetcache.contrib.fastapi.cached_response``.
"""
