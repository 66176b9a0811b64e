"""A call from a browser: a phone call's parts, and a page that shows it."""

from pipecat.processors.frame_processor import FrameProcessor

from voicebot.channels.browser.showing import NoTelephone, Showing
from voicebot.channels.phone.call import PhoneCall
from voicebot.channels.phone.conversing import Conversing
from voicebot.channels.phone.listening import PhoneListening
from voicebot.channels.phone.live import LiveTranscript
from voicebot.channels.phone.speaking import PhoneSpeaking


def browser(call: PhoneCall) -> list[FrameProcessor]:
    """As `pipelines/phone.py`; sound comes from the browser's microphone and leaves to its speaker."""
    return [
        PhoneListening(call),  # 20 ms of sound, keys -> the caller's turns
        Showing(call),  # what is said -> the page
        LiveTranscript(call),  # words so far -> whoever watches
        Conversing(call),  # a turn -> an answer
        NoTelephone(call),  # nobody is promised who cannot come
        PhoneSpeaking(call),  # clauses -> sound, and what was heard of it
    ]
