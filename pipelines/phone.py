"""A phone call, from the caller's sound to the bot's."""

from pipecat.processors.frame_processor import FrameProcessor

from voicebot.channels.phone.call import PhoneCall
from voicebot.channels.phone.conversing import Conversing
from voicebot.channels.phone.listening import PhoneListening
from voicebot.channels.phone.live import LiveTranscript
from voicebot.channels.phone.speaking import PhoneSpeaking


def phone(call: PhoneCall) -> list[FrameProcessor]:
    """Sound comes in at the top and leaves at the bottom; between them run only words."""
    return [
        PhoneListening(call),  # 20 ms of sound, keys -> the caller's turns
        LiveTranscript(call),  # words so far -> whoever watches
        Conversing(call),  # a turn -> an answer
        PhoneSpeaking(call),  # clauses -> sound, and what was heard of it
    ]
