"""fleetcache: one coherent cache for every instance of a Python server."""
