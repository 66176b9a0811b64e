"""What can be wrong with a replay, as a person has to mend it."""

from __future__ import annotations


class ReplayError(Exception):
    """Root; the message says what to do.

    ::

        ReplayError
        ├── NoSuchRecording   no file, no call, or no key for it
        ├── NotReplayable     the recording lacks what a replay needs
        └── EngineMissing     an engine or model that the replay needs is not here
    """


class NoSuchRecording(ReplayError):
    """There is no such recording here, or nothing opens it."""


class NotReplayable(ReplayError):
    """The recording can be read, but not run again."""


class EngineMissing(ReplayError):
    """An engine that the replay needs is not here; the message names it."""
