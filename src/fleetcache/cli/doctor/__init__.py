"""``fleetcache doctor``: examines the configuration, the server and its permissions, and names the actions to take."""
