"""A caller's own ears: reads words from what a bot says, apart from the server's recogniser.

PocketSphinx in a process of its own (``process``), so that the caller's clock keeps time; ``ears`` is
the way to it.
"""
