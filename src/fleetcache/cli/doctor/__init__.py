"""``fleetcache doctor``: what is configured, what the server is and allows, and what to do about either."""
