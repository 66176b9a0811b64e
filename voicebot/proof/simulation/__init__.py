"""A stand-in for Twilio that keeps its protocol and timing, and callers who phone through it.

``LocalTwilio`` is one program, shared by the tests and by ``voicebot call``. Each behaviour follows a Twilio
document; what no document promises is an entry of ``Options``. Nothing here is imported by the server.
"""

from .agent import Agent, HangUp, Listen, Press, Talk, Wait, accepting, declining, mute, not_there
from .call import LocalCall
from .clips import murmur, read_wav, tone
from .conference import Conference
from .ear import FRAME_BYTES, FRAME_MS, SILENCE, Ear, Quiet, Timeline
from .exchange import DEFAULT_CALLER, DEFAULT_NUMBER, LocalTwilio
from .faults import RestFault
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
    "Agent",
    "CallLog",
    "CallRecording",
    "Conference",
    "Ear",
    "Entry",
    "HangUp",
    "Listen",
    "LocalCall",
    "LocalTwilio",
    "Notification",
    "Options",
    "Person",
    "Press",
    "Quiet",
    "RestFault",
    "Talk",
    "Timeline",
    "Wait",
    "accepting",
    "declining",
    "late",
    "murmur",
    "mute",
    "not_there",
    "on_time",
    "out_of_order",
    "read_wav",
    "silent_person",
    "tone",
    "twice",
]
