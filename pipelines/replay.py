"""A recorded call, run again: the phone's parts in their order, with nobody who watches."""

from pipecat.processors.frame_processor import FrameProcessor

from voicebot.channels.phone.call import PhoneCall
from voicebot.channels.phone.conversing import Conversing
from voicebot.channels.phone.listening import PhoneListening
from voicebot.channels.phone.live import LiveTranscript
from voicebot.channels.phone.speaking import PhoneSpeaking


def replay(call: PhoneCall) -> list[FrameProcessor]:
    """As `pipelines/phone.py`: a replay that left a part out would prove nothing of it."""
    return [
        PhoneListening(call),  # recorded sound and keys -> the caller's turns
        LiveTranscript(call),  # words so far -> nobody
        Conversing(call),  # a turn -> an answer
        PhoneSpeaking(call),  # clauses -> sound, and what was heard of it
    ]
