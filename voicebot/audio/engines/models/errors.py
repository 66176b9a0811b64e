"""What can go wrong with models on disk and on their way there."""

from __future__ import annotations


class ModelsError(Exception):
    """Root; each message says what to do.

    ::

        ModelsError
        ├── ManifestError    the manifest is missing, damaged or of another format
        ├── UnknownModel     no model of that name
        ├── HubUnreachable   nobody answers
        ├── HubRefused       the hub answers, but not with the file
        ├── BrokenDownload   it kept breaking off; what arrived is kept, and the next pull goes on from there
        ├── WrongContent     not the bytes that were asked for; they are not kept
        ├── WrongFormat      complete, but nothing this version can load
        ├── DiskFull         no room; what had arrived is thrown away, so that the server has some
        ├── NotWritable      the data directory cannot be written
        └── PullRunning      somebody else is pulling the same model
    """


class ManifestError(ModelsError):
    """The manifest is missing, damaged or of another format."""


class UnknownModel(ModelsError):
    """No model of that name."""


class HubUnreachable(ModelsError):
    """Nobody answers at the hub's address."""


class HubRefused(ModelsError):
    """The hub answers, but not with the file."""


class BrokenDownload(ModelsError):
    """The download kept breaking off. What arrived is kept."""


class WrongContent(ModelsError):
    """Not the bytes that were asked for. They are not kept."""


class WrongFormat(ModelsError):
    """Nothing that this version can load."""


class DiskFull(ModelsError):
    """No room on the disk. What had arrived is thrown away."""


class NotWritable(ModelsError):
    """The data directory cannot be written."""


class PullRunning(ModelsError):
    """The same model is being pulled by another process."""
