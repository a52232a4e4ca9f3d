"""``make demo``: three instances of a small server with one cache, and the death of its server."""
