"""A synthetic caller decides from what it hears: when to speak, what to answer, when to give up.

Whole conversations in virtual time: a bot is a function from what the caller did to what is heard next.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

from voicebot.proof.simulation.ear import FRAME_MS
from voicebot.proof.simulation.mind import Act, HangUp, Mind, Press, Say
from voicebot.proof.simulation.script import CallScript

LINE_MS = 1000


@dataclass
class Go:
    """The bot speaks `after_ms` after the caller's last sound, for `ms`; `words` are read at its end."""

    after_ms: int
    ms: int
    words: str = ""
    read_late_ms: int = 0


@dataclass
class Talk:
    """Runs a mind against a bot. `acts`: (when, what)."""

    script: CallScript
    bot: Callable[[Act | None], list[Go]]
    acts: list[tuple[int, Act]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.mind = Mind(self.script)
        self._voice: list[tuple[int, int]] = []
        self._words: list[tuple[int, int, str]] = []  # ready at, began at, text
        busy_until = 0
        self._schedule(self.bot(None), 0)
        for at in range(0, 240_000, 20):
            for ready, began, text in [w for w in self._words if w[0] <= at]:
                self.mind.words(text, began)
                self._words.remove((ready, began, text))
            talking = any(start <= at < end for start, end in self._voice)
            reading = talking or any(began <= at for _, began, _ in self._words)
            act = self.mind.tick(at, talking=talking, reading=reading, busy=at < busy_until)
            if act is None:
                continue
            self.acts.append((at, act))
            if isinstance(act, HangUp):
                break
            busy_until = at + LINE_MS
            # a bot that is spoken to falls silent 200 ms later
            self._voice = [(s, min(e, at + 200)) for s, e in self._voice if s < at]
            self._words = [w for w in self._words if w[0] <= at + 200]
            self._schedule(self.bot(act), busy_until)
        self.mind.over(at)

    def _schedule(self, gos: list[Go], at: int) -> None:
        for go in gos:
            start, at = at + go.after_ms, at + go.after_ms + go.ms
            self._voice.append((start, at))
            if go.words:
                self._words.append((at + 260 + go.read_late_ms, start, go.words))

    @property
    def said(self) -> list[str]:
        return [
            act.line if isinstance(act, Say) else act.digits
            for _, act in self.acts
            if not isinstance(act, HangUp)
        ]


def script(*steps: dict, answers: list[dict] | None = None, **more) -> CallScript:
    return CallScript.model_validate(
        {"voice": "v", "steps": list(steps), "answers": answers or [], "greeting_s": 3} | more
    )


GREETING = [Go(500, 2000, "how can i help")]


def bot(**answers: list[Go]) -> Callable[[Act | None], list[Go]]:
    """Greets; answers each line or key sequence by name (`other` for the rest); the nth time the nth part."""
    counts: dict[str, int] = {}

    def reply(act: Act | None) -> list[Go]:
        if act is None:
            return answers.get("greeting", GREETING)
        name = act.line if isinstance(act, Say) else f"keys_{act.digits}" if isinstance(act, Press) else ""
        counts[name] = counts.get(name, 0) + 1
        return answers.get(f"{name}_{counts[name]}", answers.get(name, answers.get("other", [])))

    return reply


HOURS = {"say": ["hours", "hours_b"], "until": "we are open"}
OPEN = [Go(400, 3000, "we are open from nine")]


def test_it_waits_for_the_greeting_to_end_and_hangs_up_when_all_is_done():
    """Speaks `silence + pause` after the bot's last sound, not before."""
    talk = Talk(script(HOURS), bot(hours=OPEN))
    assert talk.said == ["hours"]
    assert 2500 + 1100 - FRAME_MS <= talk.acts[0][0] <= 2500 + 1100 + FRAME_MS
    assert talk.mind.ok
    assert isinstance(talk.acts[-1][1], HangUp)


def test_a_pause_inside_the_bots_speech_is_not_its_end():
    """Near miss: 700 ms of silence, then it goes on."""
    greeting = [Go(0, 1000, "hello"), Go(700, 1000, "how can i help")]
    talk = Talk(script(HOURS), bot(greeting=greeting, hours=OPEN))
    assert talk.acts[0][0] >= 2700 + 1100 - FRAME_MS


def test_a_bot_that_says_nothing_is_spoken_to_all_the_same():
    """After `greeting_s`, and again after `patience_s`, each time in other words, `tries` times."""
    talk = Talk(script(HOURS | {"tries": 3}), bot(greeting=[]))
    assert talk.said == ["hours", "hours_b", "hours_b"]
    assert not talk.mind.ok
    assert talk.mind.outcomes[0].tries == 3
    waits = [b - a for (a, _), (b, _) in pairwise(talk.acts[:3])]
    assert all(abs(wait - LINE_MS - 5000) <= FRAME_MS for wait in waits)


def test_what_was_not_understood_is_said_again():
    """The bot spoke, no cue was in it: another wording after a while."""
    talk = Talk(script(HOURS), bot(hours=[Go(400, 1500, "sorry")], hours_b=OPEN))
    assert talk.said == ["hours", "hours_b"]
    assert talk.mind.ok


def test_a_bot_that_keeps_asking_whether_anybody_is_there_does_not_stop_the_caller():
    """Patience counts from the first unclear answer, not from the last thing the bot said."""
    chatter = [Go(400, 800, "are you there"), *[Go(2500, 800, "are you there")] * 8]
    talk = Talk(script(HOURS), bot(hours=chatter, hours_b=OPEN))
    assert talk.said == ["hours", "hours_b"]
    assert talk.mind.ok


ORDER = {"say": "where", "until": ["on its way"], "name": "order"}
RULES = [
    {"when": ["keypad"], "also": ["order number"], "press": "427103"},
    {"when": ["order number"], "say": ["number", "number_slow"]},
    {"when": ["post code"], "unless": ["thank you"], "say": "code"},
]


def test_it_answers_what_the_bot_asks_for_each_time_in_turn_and_keys_it_when_told():
    """Number, number again slowly, then the keypad; the step stays the same one."""
    talk = Talk(
        script(ORDER, answers=RULES),
        bot(
            where=[Go(300, 1500, "what is your order number")],
            number=[Go(300, 1500, "please say the order number again")],
            number_slow=[Go(300, 1500, "type the order number on your keypad")],
            keys_427103=[Go(300, 1500, "and the post code")],
            code=[Go(300, 1500, "it is on its way")],
        ),
    )
    assert talk.said == ["where", "number", "number_slow", "427103", "code"]
    assert talk.mind.ok
    assert talk.mind.outcomes[0].tries == 1
    assert talk.mind.outcomes[0].keypad


def test_an_answered_step_is_over_even_if_a_rule_would_fit():
    """'Your order number 7 is on its way' asks for nothing."""
    talk = Talk(script(ORDER, answers=RULES), bot(where=[Go(300, 2000, "your order number is on its way")]))
    assert talk.said == ["where"]
    assert talk.mind.ok


def test_a_rule_with_a_forbidden_cue_does_not_fire():
    """Near miss: the post code is thanked for, not asked for."""
    talk = Talk(
        script(ORDER | {"tries": 1}, answers=RULES), bot(where=[Go(300, 1500, "thank you for the post code")])
    )
    assert talk.said == ["where"]


def test_a_rule_is_used_up_after_its_times():
    """A bot that asks for ever is not answered for ever."""
    rule = {"when": "order number", "say": "number", "times": 2}
    asks = [Go(300, 1000, "what is your order number")]
    talk = Talk(script(ORDER | {"tries": 1}, answers=[rule]), bot(where=asks, number=asks))
    assert talk.said == ["where", "number", "number"]
    assert not talk.mind.ok


INTERRUPT = {"say": "shipping", "interrupt": {"after_s": 2.0, "say": "stop"}, "until": "thirty days"}


def test_it_interrupts_after_so_much_speech_and_waits_for_the_new_answer():
    """What was being said when it cut in does not count as the answer."""
    talk = Talk(
        script(INTERRUPT),
        bot(shipping=[Go(500, 6000, "thirty days")], stop=[Go(900, 2000, "you have thirty days")]),
    )
    asked, cut = talk.acts[0][0], talk.acts[1][0]
    assert talk.said == ["shipping", "stop"]
    assert asked + LINE_MS + 500 + 2000 <= cut <= asked + LINE_MS + 500 + 2060
    outcome = talk.mind.outcomes[0]
    assert (outcome.done, outcome.interrupted) == (True, True)
    assert outcome.done_ms >= cut + LINE_MS + 900 + 2000


def test_an_answer_too_short_to_interrupt_is_asked_for_again():
    """The interruption must really happen, or the step is not done."""
    short = [Go(500, 1200, "thirty days")]
    talk = Talk(script(INTERRUPT | {"tries": 2}), bot(shipping=short))
    assert talk.said == ["shipping", "shipping"]
    assert talk.mind.outcomes[0].interrupted is False
    assert not talk.mind.ok


def test_the_tail_of_the_interrupted_speech_is_no_new_answer():
    """A step without cues is answered by the bot's next words, not by the 200 ms it took to fall silent."""
    free = {"say": "shipping", "interrupt": {"after_s": 1.0, "say": "stop"}}
    talk = Talk(script(free), bot(shipping=[Go(500, 6000)], stop=[Go(2500, 1000)]))
    cut = talk.acts[1][0]
    assert talk.mind.outcomes[0].done_ms >= cut + LINE_MS + 2500 + 1000


MURMUR = {"say": "hours", "murmur": {"after_s": 1.0, "say": "uh"}, "until": "we are open"}


def test_it_murmurs_once_into_an_answer_and_goes_on_listening():
    talk = Talk(script(MURMUR), bot(hours=[Go(400, 4000, "we are open")], uh=[Go(100, 3000, "we are open")]))
    asked, murmured = talk.acts[0][0], talk.acts[1][0]
    assert talk.said == ["hours", "uh"]
    assert asked + LINE_MS + 400 + 1000 <= murmured <= asked + LINE_MS + 400 + 1060
    assert (talk.mind.outcomes[0].done, talk.mind.outcomes[0].murmured) == (True, True)


def test_an_answer_too_short_to_murmur_into_is_an_answer_all_the_same():
    talk = Talk(script(MURMUR), bot(hours=[Go(400, 800, "we are open")]))
    assert talk.said == ["hours"]
    assert (talk.mind.outcomes[0].done, talk.mind.outcomes[0].murmured) == (True, False)


def test_words_that_are_read_late_are_waited_for():
    """The bot stopped 2 s ago, but the ears are still at it."""
    talk = Talk(script(HOURS), bot(hours=[Go(400, 3000, "we are open", read_late_ms=1500)]))
    assert talk.said == ["hours"]
    assert talk.mind.ok


def test_ears_that_never_finish_do_not_stop_the_call():
    """After three seconds it decides without them."""
    talk = Talk(script(HOURS | {"tries": 2}), bot(other=[Go(400, 1000, "we are open", read_late_ms=100_000)]))
    assert talk.said == ["hours", "hours_b"]


def test_waiting_pressing_and_hanging_up_are_steps():
    talk = Talk(
        script({"press": "0", "until": "connect you"}, {"wait_s": 4.0}, {"hang_up": True}, HOURS),
        bot(keys_0=[Go(200, 1500, "i'll connect you")]),
    )
    assert talk.said == ["0"]
    assert [o.done for o in talk.mind.outcomes] == [True, True, True, False]
    assert isinstance(talk.acts[-1][1], HangUp)
    assert talk.acts[-1][0] >= talk.acts[0][0] + LINE_MS + 200 + 1500 + 4000


def test_the_limit_ends_any_call():
    """Whatever the bot does."""
    endless = [Go(100, 239_000, "blah")]
    talk = Talk(script(HOURS, limit_s=30), bot(greeting=endless))
    assert talk.said == []
    assert 30_000 <= talk.acts[-1][0] <= 30_040


def test_a_call_that_ends_early_leaves_its_steps_undone():
    """Only a step that merely waits, or would hang up, is done by the end of the call."""
    mind = Mind(script(HOURS, {"wait_s": 5.0}, {"hang_up": True}))
    mind.over(1000)
    assert [o.done for o in mind.outcomes] == [False, True, True]
    assert mind.tick(1020, talking=False, reading=False, busy=False) is None


def test_cues_are_whole_words():
    """'return' is not heard in 'returned'."""
    step = {"say": "hours", "until": "return", "tries": 1}
    talk = Talk(script(step), bot(hours=[Go(300, 1000, "it was returned")]))
    assert not talk.mind.ok
