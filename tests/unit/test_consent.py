"""Only a plain yes of the caller agrees to an act; a condition, a doubt or another reading does not."""

from __future__ import annotations

import doctest

import pytest

from voicebot.safety import consent as module
from voicebot.safety.consent import Consent, consent

YES = """yes
yes please
yeah sure go ahead
yep
okay
ok
of course
please do
go ahead
go ahead and do it
yes do it
yes, that's fine
yes thank you very much
that's right
sounds good
um yes
yes yes yes
absolutely
yes i am sure
that would be great thanks
yes cancel it
yes please cancel the order
you can do that"""
NO = """no
nope
no thanks
no thank you
don't
please don't
no don't
never mind
not now
not really
i changed my mind
i do not want that
leave it
absolutely not
of course not
i'd rather not"""
UNCLEAR = """
what?
yes?
wait
no wait
hold on
yes but change the address
yeah but only the lamp
yes if it's free
i guess
i guess so
i suppose so
maybe
maybe yes
probably
yes and no
yes no
no yes
i think so
mm-hm
uh huh
uh-uh
mhm
yes the other order
yes order 518264
yes for the lamp
not yes
no problem
why not
i don't know
are you sure
how much is it
cancel it
thanks
hello
yes later
yes tomorrow
no, the floor lamp
no i want to return it
yes yes i would like to know first what it costs me in the end if i do that now"""


@pytest.mark.parametrize("text", YES.split("\n"))
def test_a_plain_yes_agrees(text: str) -> None:
    """Agreement, politeness, and words that name the deed."""
    assert consent(text, deed=("cancel", "order")) is Consent.YES


@pytest.mark.parametrize("text", NO.split("\n"))
def test_a_plain_no_declines(text: str) -> None:
    """A no with nothing else in it."""
    assert consent(text, deed=("cancel", "order")) is Consent.NO


@pytest.mark.parametrize("text", UNCLEAR.split("\n"))
def test_everything_else_is_asked_again(text: str) -> None:
    """A condition, a doubt, a question, a change, both at once, or nothing of it."""
    assert consent(text, deed=("cancel", "order")) is Consent.UNCLEAR


@pytest.mark.parametrize(
    ("text", "alternatives", "expected"),
    [
        ("yes", ("yes", "yeah"), Consent.YES),
        ("yes", ("yes the", "jess"), Consent.YES),
        ("yes", ("no",), Consent.UNCLEAR),
        ("no", ("yes",), Consent.UNCLEAR),
        ("no", ("now", "know"), Consent.NO),
        ("yes", ("yes", "yes but not that one"), Consent.UNCLEAR),
        ("okay", ("okay wait",), Consent.UNCLEAR),
        ("i guess", ("yes",), Consent.UNCLEAR),
    ],
)
def test_readings_that_disagree_are_not_clear(
    text: str, alternatives: tuple[str, ...], expected: Consent
) -> None:
    """A garbled second reading weighs nothing; one that says no, or yes with more, does."""
    assert consent(text, alternatives) is expected


@pytest.mark.parametrize(
    ("deed", "expected"), [(("change", "address"), Consent.YES), (("cancel", "order"), Consent.UNCLEAR)]
)
def test_what_names_the_deed_may_be_said_with_a_yes(deed: tuple[str, ...], expected: Consent) -> None:
    """Changing it is what was proposed, or it is something else."""
    assert consent("yes change it", deed=deed) is expected


def test_docstring_examples() -> None:
    """They run."""
    assert doctest.testmod(module).failed == 0
