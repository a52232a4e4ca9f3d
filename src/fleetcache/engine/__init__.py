"""Builds one cache from its parts and runs it on asyncio or on threads: sockets, tasks and threads are here.

Imported by `api` and `testing`.
"""
