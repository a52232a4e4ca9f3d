"""``make demo``: three instances of a small server, one cache, and what happens when its server dies."""
