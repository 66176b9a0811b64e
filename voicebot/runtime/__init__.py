"""Supervisor, nodes, leases, admission, drain, app (the composition root: the only one that knows all)."""
