"""What is suggested to who speaks with a caller: fits what is said now, keeps its place, goes with the topic.

A promise is seen only where one is made, a value is suggested only where an article holds it, and nothing here
can reach the bot's mouth.
"""

# ruff: noqa: E501  # a row of a table is not broken into lines

from __future__ import annotations

import ast
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from deployment_kit import LIBRARY, REFERENCE

from voicebot.core.conversation import Source
from voicebot.dialogue.knowledge.passage import Passage, Retrieval
from voicebot.handoff.assist.articles import SHOWN, articles, key_of
from voicebot.handoff.assist.board import Rules, Talk, asked, board
from voicebot.handoff.assist.library import Assistance
from voicebot.handoff.assist.lines import Line, Read
from voicebot.handoff.assist.signs import promises
from voicebot.handoff.assist.suggestion import Board, Mark
from voicebot.handoff.assist.topics import Ask, asks
from voicebot.handoff.patterns import Facts, PatternsError
from voicebot.runtime.assist import make_rules

ROOT = Path(__file__).resolve().parent.parent.parent
NOW = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
INTENTS = {
    "return": "return_policy",
    "warranty": "warranty",
    "order": "order_status",
    "delivery": "shipping_cost",
}


@pytest.fixture(scope="module")
def rules() -> Rules:
    return make_rules(REFERENCE, LIBRARY)


def talk_of(
    *said: str, verified: bool = False, marks: dict[str, Mark] | None = None, apart_s: int = 20
) -> Talk:
    """Lines such as ``caller: can i return it``; ten seconds and more apart, so that each stands alone."""
    lines = [
        Line(at, who, text.strip(), NOW + timedelta(seconds=apart_s * at), person=True)  # type: ignore[arg-type]
        for at, (who, _, text) in enumerate((one.partition(":") for one in said), 1)
    ]
    return Talk("cv_1", lines, read, Facts(trigger="asked_for_person", verified=verified), marks or {})


def read(line: Line) -> Read:
    """A monitor that knows an intent by its word."""
    for word, intent in INTENTS.items():
        if word in line.text:
            return Read(intent, 0.9, wants=True)
    if line.text in ("yes", "thank you so much"):
        return Read("yes", 0.95, wants=False)
    sad, upset, hurt = "sadly" in line.text, "furious" in line.text, "hurt myself" in line.text
    return Read(
        "out_of_scope",
        0.9,
        wants=False,
        sentiment=-0.8 if upset else -0.5 if sad else 0.0,
        distress=0.9 if hurt else 0.0,
    )


def passage(article: str, body: str, grounding: float) -> Passage:
    source = Source(article=article, title=article.title(), version="v1", score=grounding)
    return Passage(source=source, heading=article, body=body, grounding=grounding, tagged=True)


def result(*found: tuple[str, str, float]) -> Retrieval:
    passages = tuple(passage(*one) for one in found)
    return Retrieval(passages=passages, grounding=passages[0].grounding if passages else 0.0)


def shown(talk: Talk, rules: Rules, results: Sequence[Retrieval]) -> Board:
    """The board when each thing that is asked found one of the results, in order."""
    wanted = asked(talk, rules)
    return board(talk, rules, dict(zip([key_of(one) for one in wanted], results, strict=True)))


def of_kind(shown: Board, kind: str) -> list[str]:
    return [one.about for one in shown.suggestions if one.kind == kind]


RETURNS = ("returns", "You can return almost anything within thirty days.", 0.8)
WARRANTY = ("warranty", "Our furniture has a warranty of ten years.", 0.8)


@pytest.mark.parametrize(
    ("words", "promise"),
    [
        ("I'll call you back tomorrow at three", "callback"),
        ("okay i will have a colleague call you back", "callback"),
        ("somebody will be in touch", "callback"),
        ("let me look into it", "looking_into_it"),
        ("we'll refund you the twenty dollars", "refund"),
        ("if you like i'll send you an e mail", "message"),
        ("i can't refund that but i'm going to send you a new one", "replacement"),
        ("they won't call you back but i'll call you back", "callback"),
        ("shall i call you back", None),
        ("would you like me to call you back", None),
        ("i can't call you back", None),
        ("i will not refund it", None),
        ("let me know if i should call you back", None),
        ("did anybody say they will call you back", None),
        ("i'll see whether we can replace it", None),
        ("will you call us back?", None),
        ("you will get a call from the carrier", None),
    ],
)
def test_a_promise_is_the_agents_own_word(words: str, promise: str | None, rules: Rules) -> None:
    assert promises(words, rules.library) == (() if promise is None else (promise,))


@pytest.mark.parametrize(
    ("said", "texts", "topics"),
    [
        (["caller: hello", "caller: how long can i return it"], ["how long can i return it"], [1]),
        # a recogniser ends a line at each pause
        (["caller: i have bought a lamp", "caller: how does a return work"], ["i have bought a lamp how does a return work"], [1]),
        # few words lean on what was asked before
        (["caller: what does delivery cost", "agent: one moment", "caller: and to hawaii"],
         ["what does delivery cost", "what does delivery cost and to hawaii"], [1, 1]),
        (["caller: what does delivery cost", "agent: one moment", "caller: how long is the warranty"],
         ["what does delivery cost", "how long is the warranty"], [1, 2]),
        # what an agent looks for counts, what they say besides does not
        (["agent: let me check the warranty for that", "agent: the warranty is a good one"], ["let me check the warranty for that"], [1]),
        (["caller: is there a warranty", "caller: yes", "bot: you can return it"], ["is there a warranty"], [1]),
        # what is personal is not searched for
        (["caller: where is my order [order number 1]"], ["where is my order"], [1]),
        (["caller: what does delivery cost", "agent: what is your number", "caller: and my card number is [card 1]"],
         ["what does delivery cost"], [1]),
    ],
)  # fmt: skip
def test_what_is_asked_and_when_the_topic_changes(
    said: list[str], texts: list[str], topics: list[int], rules: Rules
) -> None:
    talk = talk_of(*said, apart_s=3)
    found = asks(talk.lines, read, sure=0.7, is_content=rules.is_content)
    assert ([one.text for one in found], [one.topic for one in found]) == (texts, topics)


def ask(text: str) -> Ask:
    return Ask(1, text, text, None, frozenset(text.split()), question=False, topic=1, person=True)


def test_an_article_keeps_its_place_and_gives_it_only_to_a_clearly_better_one() -> None:
    first, second = ask("one"), ask("two")
    before = {key_of(first): result(("a", "A.", 0.5), ("b", "B.", 0.4), ("c", "C.", 0.3), ("d", "D.", 0.29))}
    assert [one.about for one in articles([first], before)] == ["a", "b", "c"]
    alike = before | {key_of(second): result(("d", "D.", 0.33), ("b", "B.", 0.3), ("c", "C.", 0.3))}
    assert [one.about for one in articles([first, second], alike)] == ["a", "b", "c"]
    better = before | {key_of(second): result(("e", "E.", 0.44), ("b", "B.", 0.4))}
    assert [one.about for one in articles([first, second], better)] == ["a", "b", "e"]
    turned = before | {key_of(second): result(("e", "E.", 0.8), ("b", "B.", 0.4))}
    assert [one.about for one in articles([first, second], turned)] == ["e", "b"]
    assert len(articles([first, second], better)) == SHOWN


def test_what_fits_badly_is_not_shown_and_what_nobody_wants_makes_room() -> None:
    one = ask("one")
    found = {key_of(one): result(("a", "A.", 0.5), ("b", "B.", 0.04))}
    (only,) = articles([one], found)
    assert only.about == "a"
    assert articles([one], found, without={only.id}) == ()


def test_a_reply_is_quoted_and_cited_and_goes_with_the_topic(rules: Rules) -> None:
    talk = talk_of("caller: how long can i return a lamp")
    now = shown(talk, rules, [result(RETURNS)])
    (reply,) = [one for one in now.suggestions if one.kind == "reply"]
    assert "thirty days" in reply.text
    assert [one.article for one in reply.sources] == ["returns"]
    assert (reply.line, now.topic) == (1, "returning something")
    later = talk_of(
        "caller: how long can i return a lamp", "agent: thirty days", "caller: how long is the warranty"
    )
    after = shown(later, rules, [result(WARRANTY)])
    assert (of_kind(after, "reply"), of_kind(after, "article")) == (["warranty"], ["warranty"])


def test_the_same_talk_gives_the_same_board(rules: Rules) -> None:
    said = ("caller: how long can i return a lamp", "agent: i'll call you back tomorrow")
    assert shown(talk_of(*said), rules, [result(RETURNS)]) == shown(talk_of(*said), rules, [result(RETURNS)])


def test_no_value_is_suggested_that_no_article_holds(rules: Rules) -> None:
    lamp = ("lamps", "Lamps are returned like anything else.", 0.8)
    now = shown(talk_of("caller: how much is it to return a lamp"), rules, [result(lamp)])
    assert of_kind(now, "reply") == []
    (warning,) = [one for one in now.suggestions if one.kind == "warning"]
    assert (warning.about, "price" in warning.text) == ("no_fact", True)


@pytest.mark.parametrize("grounding", [0.2, 0.44])
def test_what_the_bot_would_not_quote_is_no_reply(grounding: float, rules: Rules) -> None:
    weak = ("returns", RETURNS[1], grounding)
    now = shown(talk_of("caller: how long can i return a lamp"), rules, [result(weak)])
    assert (of_kind(now, "reply"), of_kind(now, "article")) == ([], ["returns"])


@pytest.mark.parametrize(
    ("said", "kind", "about"),
    [
        ("caller: it is [card 1]", "warning", "card_said"),
        ("agent: can you give me the number of your card", "warning", "card_asked"),
        ("caller: the password is [code 1]", "warning", "code_said"),
        ("caller: i have hurt myself", "warning", "distress"),
        ("caller: then my lawyer will write to you", "warning", "regulated"),
        ("agent: i will call you back on monday", "action", "book_callback"),
        ("caller: where is my order", "action", "check_identity"),
        ("caller: i am furious about all of it", "action", "calm_down"),
        ("caller: sadly it broke, caller: sadly again", "action", "calm_down"),
    ],
)
def test_what_happens_is_warned_of_or_acted_upon(said: str, kind: str, about: str, rules: Rules) -> None:
    now = board(talk_of(*said.split(", ")), rules, {})
    assert about in of_kind(now, kind)
    assert all(one.why for one in now.suggestions)
    calm = board(
        talk_of("caller: good morning to you", "caller: sadly so", "agent: i can look at it"), rules, {}
    )
    assert calm.suggestions == ()


def test_identity_that_was_asked_for_or_checked_is_no_action(rules: Rules) -> None:
    unchecked = ("caller: where is my order", "agent: can i have your order number and the post code")
    assert "check_identity" not in of_kind(board(talk_of(*unchecked), rules, {}), "action")
    verified = talk_of("caller: where is my order", verified=True)
    assert "check_identity" not in of_kind(board(verified, rules, {}), "action")


def test_a_warning_of_a_card_is_over_after_a_while(rules: Rules) -> None:
    said = ["caller: it is [card 1]", *(f"agent: word number {at} of it" for at in range(12))]
    assert of_kind(board(talk_of(*said), rules, {}), "warning") == []


def test_a_promise_can_be_booked_and_what_was_rejected_does_not_come_back(rules: Rules) -> None:
    said = ("agent: i'll call you back on monday", "caller: yes", "agent: i'll call you back on tuesday")
    (action,) = [one for one in board(talk_of(*said), rules, {}).suggestions if one.about == "book_callback"]
    assert (action.books, action.line) == ("callback", 1)
    assert of_kind(board(talk_of(*said, marks={action.id: "not_useful"}), rules, {}), "action") == []
    (used,) = board(talk_of(*said, marks={action.id: "used"}), rules, {}).suggestions
    assert used.mark == "used"


def test_what_comes_up_since_a_person_speaks_brings_its_reviewed_action(rules: Rules) -> None:
    INTENTS["broke"] = "damaged_item"
    try:
        now = board(talk_of("caller: one leg broke off"), rules, {})
    finally:
        del INTENTS["broke"]
    (action,) = [one for one in now.suggestions if one.about == "damaged_item"]
    assert "reviewed" in action.why


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("actions: [{name: a, when: {sign: [promised_nothing]}, next: x, reviewed: {by: a, date: '2026-01-01'}}]", "signs"),
        ("promises: {refund: {words: [Refund]}}", "lower case"),
        ("surprise: 1", "surprise"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_used_says_why(text: str, problem: str, tmp_path: Path) -> None:
    (tmp_path / "business").mkdir()
    (tmp_path / "business" / "assist.yaml").write_text(text)
    with pytest.raises(PatternsError, match=problem):
        Assistance.read(tmp_path)


def test_nothing_that_speaks_knows_of_suggestions() -> None:
    """Only the console and the composition root import them: no turn, channel, tool or pipeline can say one."""
    knows: set[str] = set()
    for folder in ("voicebot", "pipelines", "tools"):
        for path in (ROOT / folder).rglob("*.py"):
            source = path.read_text(encoding="utf-8")
            if "assist" not in source:
                continue
            tree = ast.parse(source)
            names = {
                one.name for node in ast.walk(tree) if isinstance(node, ast.Import) for one in node.names
            }
            for node in ast.walk(tree):
                if isinstance(node, ast.ImportFrom) and node.module:
                    names |= {node.module, *(f"{node.module}.{one.name}" for one in node.names)}
            if any(".assist" in name or name.endswith("assisting") for name in names):
                knows.add(path.relative_to(ROOT).as_posix())
    outside = {one for one in knows if not one.startswith(("voicebot/handoff/assist/", "voicebot/console/"))}
    reads_the_file_at_start = "voicebot/handoff/whole.py"
    assert outside == {reads_the_file_at_start, "voicebot/runtime/app.py", "voicebot/runtime/assist.py"}
