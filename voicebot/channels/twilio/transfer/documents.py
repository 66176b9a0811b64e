"""The TwiML of a warm transfer, for the caller's leg and for the person's. Pure.

https://www.twilio.com/docs/voice/twiml/conference
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from importlib.resources.abc import Traversable

from twilio.twiml.voice_response import Dial, Gather, Start, VoiceResponse

from voicebot.channels.twilio.addresses import Addresses
from voicebot.handoff.transfer.states import Transfer

PATH = "/twilio/transfer"

KEY_WAIT_S = 6
"""How long a person may think before they are asked again."""

ROOM_EVENTS = "start end join leave"

Sound = str | None
"""Where a recording of some words lies on this server; None: Twilio's own voice says them."""


def caller_label(entry: int) -> str:
    """The caller's label in the room; of each entry another, so that late callbacks are told apart."""
    return f"caller-{entry}"


def agent_label(attempt: int) -> str:
    """The person's label in the room."""
    return f"agent-{attempt}"


def path(transfer_id: str, *steps: str | int) -> str:
    """Path of a transfer's webhook."""
    return "/".join((PATH, transfer_id, *map(str, steps)))


def hold_sound() -> Traversable:
    """What a caller hears who waits, as shipped: 8 kHz mu-law WAV, made by ``scripts/make_hold_sound.py``."""
    return resources.files("voicebot.channels.twilio.transfer").joinpath("sounds", "hold.wav")


def caller_waits(at: Addresses, transfer: Transfer, fork: Start | None = None) -> str:
    """Into the room, where our own hold sound plays until a person comes.

    The room begins with the person, and ends when the caller or the person goes: the other one's ``action``
    is then asked at once, so nobody stays alone in it.

    Args:
        at: where Twilio reaches this server.
        transfer: whose ``entry`` it is.
        fork: a stream of what the caller says from now on.
    """
    response = VoiceResponse()
    if fork is not None:
        response.append(fork)
    dial = Dial(action=at.http(path(transfer.id, "back", transfer.entry)), method="POST")
    dial.conference(
        transfer.room,
        participant_label=caller_label(transfer.entry),
        beep="false",
        start_conference_on_enter=False,
        end_conference_on_exit=True,
        wait_url=at.http(path(transfer.id, "hold", 1)),
        wait_method="POST",
        status_callback=at.http(path(transfer.id, "room")),
        status_callback_method="POST",
        status_callback_event=ROOM_EVENTS,
    )
    response.append(dial)
    return str(response)


def hold(at: Addresses, transfer_id: str, nth: int, words: str, sound: Sound) -> str:
    """The n-th round of waiting: a word on how it stands (not in the first: the bot just said it), music."""
    response = VoiceResponse()
    if nth > 1:
        _speak(response, at, words, sound)
    response.play(at.http(f"{PATH}/hold.wav"))
    response.redirect(at.http(path(transfer_id, "hold", nth + 1)), method="POST")
    return str(response)


def briefing(
    at: Addresses, transfer: Transfer, spoken: Sequence[tuple[str, Sound]], wait_s: int = KEY_WAIT_S
) -> str:
    """What it is about, and the question: 1 takes the call, 2 does not.

    Args:
        at: where Twilio reaches this server.
        transfer: whose ``asked`` counts the askings.
        spoken: words and their recordings, in order; a key stops them.
        wait_s: seconds for the key, from their end on.
    """
    answer = at.http(path(transfer.id, "pressed", transfer.attempt, max(1, transfer.asked)))
    response = VoiceResponse()
    gather = Gather(input="dtmf", num_digits=1, timeout=wait_s, action=answer, method="POST")
    for words, sound in spoken:
        _speak(gather, at, words, sound)
    response.append(gather)
    response.redirect(answer, method="POST")  # no key at all: Gather goes on to the next verb
    return str(response)


def agent_joins(at: Addresses, transfer: Transfer, fork: Start | None = None) -> str:
    """The person goes into the room, which begins with them."""
    response = VoiceResponse()
    if fork is not None:
        response.append(fork)
    dial = Dial(action=at.http(path(transfer.id, "left", transfer.attempt)), method="POST")
    dial.conference(
        transfer.room,
        participant_label=agent_label(transfer.attempt),
        beep="false",
        start_conference_on_enter=True,
        end_conference_on_exit=True,
        wait_url="",
        status_callback=at.http(path(transfer.id, "room")),
        status_callback_method="POST",
        status_callback_event=ROOM_EVENTS,
    )
    response.append(dial)
    return str(response)


def goodbye(at: Addresses, words: str, sound: Sound) -> str:
    """The person is let go."""
    response = VoiceResponse()
    _speak(response, at, words, sound)
    response.hangup()
    return str(response)


def ask_again(at: Addresses, same: str) -> str:
    """A moment's patience, then the same request: the database was away."""
    response = VoiceResponse()
    response.pause(length=2)
    response.redirect(at.http(same), method="POST")
    return str(response)


def _speak(parent: VoiceResponse | Gather, at: Addresses, words: str, sound: Sound) -> None:
    if sound is not None:
        parent.play(at.http(sound))
    elif words:
        parent.say(words)
