"""Database, migrations, keys, outbox, leases, audit: all that must outlive a process."""
