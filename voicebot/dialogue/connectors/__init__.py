"""Systems of record behind one interface: named, read-only queries in, rows out."""
