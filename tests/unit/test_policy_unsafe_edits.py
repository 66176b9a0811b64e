"""An unsafe edit to the shipped policy never boots, and the refusal names the row; a harmless one boots."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from policy_kit import boot, shipped

from voicebot.core.conversation import Action, Confidences
from voicebot.safety.policy import Health, Policy, PolicyError, PolicyFacts

Edit = tuple[str, dict[str, Any], str]
"""What was done, the table, and what the refusal must name."""

FREE = ("answer", "propose", "act")
BANDS = ("unsure", "unverified", "ungrounded", "doubtful")
CONCERNS = ("account_security", "billing_dispute", "churn_risk", "distress")
BY_TIER = {tier: [n for n, r in shipped()["intents"].items() if r["tier"] == tier] for tier in range(4)}
ASKED = [n for n, r in shipped()["intents"].items() if r["reads"] == "knowledge"]
"""Intents that are answered from articles."""
QUOTED = [n for n in ASKED if shipped()["intents"][n].get("compliance", "none") != "none"]


def a_lower_tier(pick: random.Random) -> Edit:
    document = shipped()
    name = pick.choice([*BY_TIER[1], *BY_TIER[2], *BY_TIER[3]])
    rule = document["intents"][name]
    rule["tier"] = pick.randrange(rule["tier"])
    return f"{name} in tier {rule['tier']}", document, f"intents.{name}"


def a_freer_tier(pick: random.Random) -> Edit:
    document = shipped()
    tier, band = pick.choice([(t, b) for t in range(4) for b in BANDS])
    action = pick.choice([*FREE, "end"])
    document["tiers"][tier][band] = action
    return f"tiers.{tier}.{band}: {action}", document, f"tiers.{tier}"


def an_unattended_tier_three(pick: random.Random) -> Edit:
    document = shipped()
    band = pick.choice(["sure", *BANDS])
    action = pick.choice([a.value for a in Action if a is not Action.ESCALATE])
    document["tiers"][3][band] = action
    return f"tiers.3.{band}: {action}", document, "tiers.3"


def an_acting_tier(pick: random.Random) -> Edit:
    document = shipped()
    tier, action = pick.choice([(0, "act"), (0, "end"), (1, "act"), (1, "end"), (2, "act"), (2, "answer")])
    document["tiers"][tier]["sure"] = action
    return f"tiers.{tier}.sure: {action}", document, f"tiers.{tier}"


def a_hole(pick: random.Random) -> Edit:
    document = shipped()
    tier = pick.randrange(4)
    if pick.random() < 0.3:
        del document["tiers"][tier]
        return f"no tier {tier}", document, f"tiers [{tier}]"
    field = pick.choice(["sure", *BANDS, "owner"])
    del document["tiers"][tier][field]
    return f"tiers.{tier} without {field}", document, f"tiers.{tier}.{field}"


def a_lost_row(pick: random.Random) -> Edit:
    document = shipped()
    name = pick.choice(list(document["intents"]))
    del document["intents"][name]
    return f"no row for {name}", document, f"intents.{name}"


def a_lower_limit(pick: random.Random) -> Edit:
    document = shipped()
    what, below = pick.choice([("sure", 0.6), ("grounding", 0.25), ("answer", 0.7)])
    value = round(pick.uniform(0.01, below - 0.01), 3)
    document["thresholds"][what] = value
    return f"thresholds.{what}: {value}", document, "thresholds"


def a_concern_taken_for_noise(pick: random.Random) -> Edit:
    document = shipped()
    document["thresholds"]["unsure"] = round(pick.uniform(0.51, 0.69), 3)
    return f"unsure: {document['thresholds']['unsure']}", document, "thresholds.unsure"


def a_lower_limit_of_an_intent(pick: random.Random) -> Edit:
    document = shipped()
    name = pick.choice([*ASKED, *BY_TIER[1][:1]])
    what, most = pick.choice([("sure", 0.69), ("grounding", 0.44), ("answer", 0.84)])
    document["intents"][name][what] = round(pick.uniform(0.01, most), 3)
    return f"{name}.{what}: {document['intents'][name][what]}", document, f"intents.{name}"


def a_late_distress(pick: random.Random) -> Edit:
    document = shipped()
    what = pick.choice(["distress", "distress_vulnerable"])
    document["thresholds"][what] = round(pick.uniform(0.51, 1.0), 3)
    return f"{what}: {document['thresholds'][what]}", document, f"thresholds.{what}"


def a_forgotten_concern(pick: random.Random) -> Edit:
    document = shipped()
    name = pick.choice(CONCERNS)
    rule = document["intents"][name]
    how = pick.choice(["removed", "swapped", "then", "urgency", "priority"])
    if how == "removed":
        del rule["concern"]
    elif how == "swapped":
        rule["concern"] = pick.choice([one for one in CONCERNS if one != name])
    elif how == "then":
        rule["then"] = pick.choice(["route", "follow_up", "clarify", "abstain", "answer", "end", "draft"])
    elif how == "urgency":
        rule["urgency"] = pick.choice(["low", "normal"])
    else:
        rule["priority"] = pick.randint(0, 10)
    return f"{name}: concern {how}", document, f"intents.{name}"


def a_harmless_looking_risk(pick: random.Random) -> Edit:
    document = shipped()
    name, fields = pick.choice(
        [
            ("order_status", ("effect",)),
            ("change_order", ("effect",)),
            ("delivery_reschedule", ("effect",)),
            ("exchange_item", ("effect",)),
            ("refund_status", ("effect", "criticality")),
            ("data_request", ("criticality", "compliance")),
            ("complaint", ("stricter",)),
            ("invoice_copy", ("effect",)),
            ("newsletter", ("effect",)),
        ]
    )
    for field in fields:
        document["intents"][name].pop(field)
    return f"{name} without {', '.join(fields)}", document, f"intents.{name}"


def a_machine_instead_of_a_person(pick: random.Random) -> Edit:
    document = shipped()
    name = pick.choice([*BY_TIER[2], *BY_TIER[3], "person"])
    rule = document["intents"][name]
    tool = "tool" if rule["reads"] == "person" else "nothing"  # the others look something up as it is
    how = pick.choice(["knowledge", "nothing", tool, "then"])
    if how == "then":
        rule["then"] = pick.choice(["answer", "act", "propose", "end", "draft"])
    else:
        rule["reads"] = how
        if how == "tool":
            rule |= {"tool": "order_status", "identity": True}
    return f"{name}: {how}", document, f"intents.{name}"


def nobody_for_who_asks(pick: random.Random) -> Edit:
    document = shipped()
    name = pick.choice(["person", *BY_TIER[2], *BY_TIER[3]])
    if name == "person" and pick.random() < 0.5:
        document["intents"][name]["priority"] = pick.randint(0, 10)
    else:
        document["intents"][name]["then"] = pick.choice(["abstain", "clarify", "end"])
    return f"{name}: nobody", document, f"intents.{name}"


def words_without_looking_up(pick: random.Random) -> Edit:
    document = shipped()
    name = pick.choice(ASKED)
    document["intents"][name] |= {"reads": "nothing", "route": "fixed"}
    return f"{name}: reads nothing", document, f"intents.{name}"


def an_open_gate(pick: random.Random) -> Edit:
    document = shipped()
    how = pick.choice(
        ["open", "unknown tool", "fewer factors", "short factors", "more tries", "act", "tools"]
    )
    rule, identity = document["intents"]["order_status"], document["identity"]
    if how == "open":
        rule["identity"] = False
    elif how == "unknown tool":
        rule["tool"] = pick.choice(["order_state", "customer_list", "refund"])
    elif how == "act":
        rule["act"] = "cancel_order"
    elif how == "tools":
        rule["tools"] = ["customer_list"]
    elif how == "fewer factors":
        identity["factors"].pop()
        return how, document, "identity.factors"
    elif how == "short factors":
        identity["factors"] = [{"name": n, "digits": 3} for n in ("order_number", "post_code")]
        return how, document, "identity.factors"
    else:
        identity["max_tries"] = pick.choice([4, 5, 50])
        return how, document, "identity.max_tries"
    return how, document, "intents.order_status"


def a_talkative_model(pick: random.Random) -> Edit:
    document = shipped()
    name = pick.choice([*QUOTED, "order_status", *BY_TIER[2], *BY_TIER[3]])
    document["intents"][name]["route"] = pick.choice(["small", "strong"])
    return f"{name} written by a model", document, f"intents.{name}"


def a_hang_up(pick: random.Random) -> Edit:
    document = shipped()
    steering = ["repeat", "yes", "no", "thanks", "greeting", "question", "help", "wait", "out_of_scope"]
    name = pick.choice([*steering, *ASKED])
    document["intents"][name]["then"] = "end"
    return f"{name} hangs up", document, name


def no_idea_and_yet(pick: random.Random) -> Edit:
    document = shipped()
    document["lost"] = pick.choice([*FREE, "end", "draft", "route"])
    return f"lost: {document['lost']}", document, "lost"


def a_looser_override(pick: random.Random) -> Edit:
    document = shipped()
    overrides = document["overrides"]
    how = pick.choice(["at_most", "sure", "grounding", "person", "covers nothing", "end", "unknown"])
    if how == "at_most":
        overrides["overseas_delivery"]["at_most"] = pick.choice(["answer", "act"])
        return how, document, "overrides.overseas_delivery"
    if how == "sure":
        overrides["degraded_line"]["sure"] = round(pick.uniform(0.01, 0.7), 3)
        return how, document, "overrides.degraded_line"
    if how == "grounding":
        overrides["vermont_credit"]["grounding"] = round(pick.uniform(0.0, 0.45), 3)
        return how, document, "overrides.vermont_credit"
    if how == "person":
        overrides["desk_closed"]["intents"] = [pick.choice(CONCERNS)]
        return how, document, "overrides.desk_closed"
    if how == "covers nothing":
        overrides["degraded_line"]["tiers"], overrides["degraded_line"]["categories"] = [3], ["loyalty"]
        return how, document, "overrides.degraded_line"
    if how == "end":
        overrides["overseas_delivery"]["at_most"] = "end"
        return how, document, "overrides.overseas_delivery"
    overrides["overseas_delivery"]["when"] = {"regions": ["atlantis"]}
    return how, document, "overrides.overseas_delivery"


def a_dropped_override(pick: random.Random) -> Edit:
    document = shipped()
    name, shows = pick.choice(
        [
            ("degraded_line", "sure"),
            ("plus_members", "sure"),
            ("overseas_delivery", "shipping_cost"),
            ("vermont_credit", "financing"),
        ]
    )
    del document["overrides"][name]
    return f"no {name}", document, shows


def an_override_for_some_segment(pick: random.Random) -> Edit:
    document = shipped()
    document["overrides"]["plus_answers"] = {
        "why": "a restriction that strangers would escape",
        "when": {"segments": [pick.choice(["plus", "standard"])]},
        "intents": [pick.choice(ASKED)],
        "at_most": pick.choice(["abstain", "route", "clarify"]),
    }
    return "strangers are freer", document, "overrides.plus_answers"


def a_careless_grant(pick: random.Random) -> Edit:
    document = shipped()
    reviewed = date(2026, 11, 1)
    grant: dict[str, Any] = {
        "why": "it would save the desk a lot of work",
        "intents": [pick.choice([*BY_TIER[3], *BY_TIER[2]])],
        "reviewed_by": ["Ada Lane", "Joe Ruiz"],
        "reviewed": reviewed,
        "until": reviewed + timedelta(days=90),
        "sure": 0.65,
    }
    how = pick.choice(
        ["a person's", "one reviewer", "same reviewer", "for ever", "backwards", "floor", "act"]
    )
    if how != "a person's":
        grant["intents"] = [pick.choice([name for name in ASKED if name in BY_TIER[0]])]
    if how == "one reviewer":
        grant["reviewed_by"] = ["Ada Lane"]
    elif how == "same reviewer":
        grant["reviewed_by"] = ["Ada Lane", " ada lane"]
    elif how == "for ever":
        grant["until"] = pick.choice([date(2030, 1, 1), date(2028, 1, 1)])
    elif how == "backwards":
        grant["until"] = reviewed - timedelta(days=pick.randint(0, 99))
    elif how == "floor":
        grant["sure"] = round(pick.uniform(0.05, 0.59), 3)
    elif how == "act":
        grant["may"] = pick.choice(["act", "propose"])
    document["grants"] = {"hurry": grant}
    return f"a grant: {how}", document, "grants.hurry"


def rows_changed_about(pick: random.Random) -> Edit:
    document = shipped()
    rows = document["intents"]
    risky, harmless = pick.choice([*BY_TIER[2], *BY_TIER[3]]), pick.choice(ASKED)
    rows[risky], rows[harmless] = rows[harmless], rows[risky]
    return f"{risky} has the row of {harmless}", document, risky


def tiers_changed_about(pick: random.Random) -> Edit:
    document = shipped()
    one, other = pick.sample(range(4), 2)
    while {one, other} == {0, 1}:  # these two differ in nothing that matters here
        one, other = pick.sample(range(4), 2)
    tiers = document["tiers"]
    tiers[one], tiers[other] = tiers[other], tiers[one]
    return f"tiers {one} and {other} changed about", document, "tiers."


UNSAFE: tuple[Callable[[random.Random], Edit], ...] = (
    a_lower_tier, a_freer_tier, an_unattended_tier_three, an_acting_tier, a_hole, a_lost_row,
    a_lower_limit, a_concern_taken_for_noise, a_lower_limit_of_an_intent, a_late_distress,
    a_forgotten_concern, a_harmless_looking_risk, a_machine_instead_of_a_person, nobody_for_who_asks,
    words_without_looking_up, an_open_gate, a_talkative_model, a_hang_up, no_idea_and_yet,
    a_looser_override, a_dropped_override, an_override_for_some_segment, a_careless_grant,
    rows_changed_about, tiers_changed_about,
)  # fmt: skip


def unsafe_edits(seed: int) -> Iterator[Edit]:
    """Endless, each another edit; every kind takes its turn."""
    pick = random.Random(seed)
    seen: set[str] = set()
    while True:
        for kind in UNSAFE:
            edit = kind(pick)
            if repr(edit[1]) not in seen:
                seen.add(repr(edit[1]))
                yield edit


def test_of_two_hundred_unsafe_edits_none_boots_and_each_refusal_names_the_row(tmp_path: Path) -> None:
    """Raised freedom, lower limits, swapped actions, lost rows, forgotten concerns, careless grants."""
    survived, unnamed = [], []
    for what, document, row in islice(unsafe_edits(20261121), 200):
        try:
            boot(document, tmp_path)
        except PolicyError as error:
            if row not in str(error):
                unnamed.append((what, row, str(error)))
        else:
            survived.append(what)
    assert survived == []
    assert unnamed == []


HARMLESS: dict[str, Callable[[dict[str, Any]], object]] = {
    "another version": lambda d: d.update(version="next"),
    "surer": lambda d: d["thresholds"].update(sure=0.8),
    "better articles": lambda d: d["intents"]["old_furniture"].update(grounding=0.45),
    "an intent that needs more": lambda d: d["intents"]["gift_card"].update(sure=0.7, answer=0.9),
    "a tier that needs more": lambda d: d["tiers"][2].update(at_least={"answer": 0.95}),
    "abstaining instead of asking": lambda d: d["tiers"][2].update(ungrounded="abstain"),
    "a higher tier with a reason": lambda d: d["intents"]["account_details"].update(
        tier=3, stricter="a wave of stolen accounts this month"
    ),
    "more risk in the same tier": lambda d: d["intents"]["cancel_order"].update(criticality="high"),
    "a specialist": lambda d: d["intents"]["change_order"].update(then="route", owner="orders desk"),
    "more urgent": lambda d: d["intents"]["account_security"].update(urgency="critical", priority=80),
    "two tries": lambda d: d["identity"].update(max_tries=2),
    "distress sooner": lambda d: d["thresholds"].update(distress=0.4),
    "sure sooner that it is none of our business": lambda d: d["intents"]["out_of_scope"].update(sure=0.5),
    "nobody is promised anything at night": lambda d: d["overrides"].pop("desk_closed"),
    "a model quotes instead": lambda d: d["intents"]["care_advice"].update(owner="workshop", route="small"),
    "a good record": lambda d: d["intents"]["gift_card"].update(
        record={"calls": 400, "resolved": 0.93, "reviewed": date(2026, 11, 1)}
    ),
    "a night of rest": lambda d: d["overrides"].update(
        night={
            "why": "the workshop checks advice on assembly by day",
            "when": {"hours": ["22:00", "06:00"], "days": ["sat", "sun"]},
            "intents": ["assembly"],
            "at_most": "draft",
        }
    ),
    "a restriction nobody escapes": lambda d: d["overrides"].update(
        plus_discounts={
            "why": "members have other discounts than everybody else",
            "when": {"segments": ["plus"], "unknown": True},
            "intents": ["old_furniture"],
            "grounding": 0.5,
        }
    ),
    "a reviewed grant": lambda d: d.update(
        grants={
            "trial": {
                "why": "four weeks of calls showed no wrong answer",
                "intents": ["opening_hours"],
                "reviewed_by": ["Ada Lane", "Joe Ruiz"],
                "reviewed": date(2026, 11, 1),
                "until": date(2027, 1, 31),
                "sure": 0.65,
            }
        }
    ),
}


@pytest.mark.parametrize("name", HARMLESS)
def test_a_harmless_edit_boots(name: str, tmp_path: Path) -> None:
    """The near misses: stricter, better known, owned by somebody else, or properly granted."""
    document = shipped()
    HARMLESS[name](document)
    boot(document, tmp_path)


def any_edit(pick: random.Random) -> dict[str, Any]:
    """A legal value somewhere, chosen without a thought for what it means."""
    document = shipped()
    name = pick.choice(list(document["intents"]))
    rule = document["intents"][name]
    values: dict[str, list[Any]] = {
        "tier": [0, 1, 2, 3],
        "reads": ["nothing", "knowledge", "tool", "person"],
        "route": ["fixed", "grounded", "small", "strong", "draft", "person"],
        "effect": ["none", "personal", "change"],
        "criticality": ["low", "medium", "high", "critical"],
        "vulnerability": ["low", "raised", "high"],
        "compliance": ["none", "notice", "duty", "reserved"],
        "complexity": ["simple", "steps", "judgement"],
        "sure": [0.1, 0.4, 0.55, 0.6, 0.65, 0.7, 0.9],
        "grounding": [0.0, 0.2, 0.3, 0.45, 0.8],
        "answer": [0.0, 0.5, 0.75, 0.85, 0.95],
        "then": ["answer", "clarify", "abstain", "route", "follow_up", "escalate", "end"],
        "identity": [False, True],
    }
    for _ in range(pick.randint(1, 2)):
        field = pick.choice(list(values))
        rule[field] = pick.choice(values[field])
    if pick.random() < 0.4:
        tier = document["tiers"][pick.randrange(4)]
        tier[pick.choice(["sure", *BANDS])] = pick.choice([action.value for action in Action])
    if pick.random() < 0.3:
        what = pick.choice(["sure", "unsure", "grounding", "answer", "writing"])
        document["thresholds"][what] = round(pick.uniform(0.2, 0.9), 2)
    return document


def test_whatever_boots_keeps_the_promises(tmp_path: Path) -> None:
    """Edits at random, without the shop's own tests: what is accepted is still safe, seen from outside.

    The promises are put anew here, in words of their own, and asked of random facts.
    """
    pick = random.Random(7)
    booted = 0
    for _ in range(45):
        try:
            policy = boot(any_edit(pick), tmp_path, tested=False)
        except PolicyError:
            continue
        booted += 1
        for _ in range(250):
            keeps_the_promises(policy, pick)
    assert booted >= 6, "the edits must not all be refused, or this test shows nothing"


def keeps_the_promises(policy: Policy, pick: random.Random) -> None:
    table = policy.table
    intent = pick.choice(list(table.intents))
    rule = table.intents[intent]
    sure, grounding, answer = (
        pick.choice([None, 0.0, 0.3, 0.44, 0.45, 0.59, 0.65, 0.7, 0.84, 0.9, 1.0]) for _ in range(3)
    )
    verified, vulnerable, distress = pick.random() < 0.5, pick.random() < 0.3, pick.choice([0.0, 0.2, 0.6])
    facts = PolicyFacts(
        intent,
        Confidences(classification=sure, grounding=grounding, answer=answer),
        verified,
        region=pick.choice([None, "hawaii", "vermont"]),
        healthy=pick.choice(list(Health)),
        distress=distress,
        vulnerable=vulnerable,
    )
    ruling = policy.decide(facts)
    said = ruling.action in {Action.ANSWER, Action.PROPOSE, Action.ACT, Action.END}
    assert not (said and (sure is None or sure < 0.6)), (facts, ruling)
    assert not (said and rule.tier == 3), (facts, ruling)
    assert not (said and rule.identity and not verified), (facts, ruling)
    assert not (said and rule.reads == "knowledge" and (grounding is None or grounding < 0.25)), (
        facts,
        ruling,
    )
    assert not (said and rule.reads != "nothing" and answer is not None and answer < 0.7), (facts, ruling)
    assert ruling.action is not Action.ACT
    assert not ruling.tools or (said and verified)
    if distress >= 0.5:
        assert ruling.action is Action.ESCALATE
    if rule.concern is not None and sure is not None and sure >= 0.5:
        assert ruling.action is Action.ESCALATE
