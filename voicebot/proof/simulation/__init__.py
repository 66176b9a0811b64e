"""A stand-in for Twilio that keeps its protocol and timing, and callers who phone through it.

``LocalTwilio`` is one program, shared by the tests and by ``voicebot call``. Each behaviour follows a Twilio
document; what no document promises is an entry of ``Options``. Nothing here is imported by the server.
"""

from .call import LocalCall
from .clips import murmur, read_wav, tone
from .ear import FRAME_BYTES, FRAME_MS, SILENCE, Ear, Quiet, Timeline
from .exchange import DEFAULT_CALLER, DEFAULT_NUMBER, LocalTwilio
from .log import CallLog, Entry, Notification
from .options import Options, late, on_time, out_of_order, twice
from .people import Person, silent_person
from .recording import CallRecording

__all__ = [
    "DEFAULT_CALLER",
    "DEFAULT_NUMBER",
    "FRAME_BYTES",
    "FRAME_MS",
    "SILENCE",
    "CallLog",
    "CallRecording",
    "Ear",
    "Entry",
    "LocalCall",
    "LocalTwilio",
    "Notification",
    "Options",
    "Person",
    "Quiet",
    "Timeline",
    "late",
    "murmur",
    "on_time",
    "out_of_order",
    "read_wav",
    "silent_person",
    "tone",
    "twice",
]
