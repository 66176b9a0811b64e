"""A policy file that cannot be used says where: file, line, row, and the nearest name that exists."""

from __future__ import annotations

from pathlib import Path

import pytest
from policy_kit import BUSINESS, boot, shipped

from voicebot.safety.policy import PolicyError, read_cases, read_policy

TEXT = (BUSINESS / "policy.yaml").read_text()


def line_of(words: str, text: str) -> int:
    return next(number for number, line in enumerate(text.splitlines(), 1) if words in line)


@pytest.mark.parametrize(
    ("old", "new", "row", "says"),
    [
        ("warranty:         {tier: 0", "warranty:         {tear: 0", "intents.warranty.tear", "did you mean `tier`"),  # noqa: E501
        ("gift_card:        {tier: 0", "gift_card:        {tier: 7", "intents.gift_card.tier", "less than or equal to 3"),  # noqa: E501
        ("reads: tool, tool", "reads: tol, tool", "intents.order_status.reads", "did you mean `tool`"),
        ("reads: tool, tool: order_status", "reads: tool", "intents.order_status", "`tool` is named exactly when"),  # noqa: E501
        ("then: end}", "then: ende}", "intents.goodbye.then", "did you mean `end`"),
        ("sure: propose, doubtful", "sure: purpose, doubtful", "tiers.2.sure", "did you mean `propose`"),
        ("{owner: service team lead, clearances: [],\n     sure: answer, ", "{owner: service team lead, clearances: [],\n     ", "tiers.0.sure", "is missing"),  # noqa: E501
        ("route: strong", "route: stronk", "intents.product_advice.route", "did you mean `strong`"),
        ("concern: churn_risk", "concern: churn", "intents.churn_risk.concern", "did you mean `churn_risk`"),
        ("compliance: reserved, priority: 40", "compliance: reserve, priority: 40", "intents.data_request.compliance", "did you mean `reserved`"),  # noqa: E501
        ("unsure: 0.40 ", "unsuer: 0.40 ", "thresholds.unsuer", "did you mean `unsure`"),
        ("sure: 0.70  ", "sure: high  ", "thresholds.sure", "valid number"),
        ("at_most: route", "at_mots: route", "overrides.overseas_delivery.at_mots", "did you mean `at_most`"),
        ("{health: degraded}", "{health: sick}", "overrides.degraded_line.when.health", "known are"),
        ('["20:00", "08:00"]', "[20:00, 8:00]", "overrides.desk_closed.when.hours", "string"),
        ('["20:00", "08:00"]', '["20:00", "8 am"]', "overrides.desk_closed.when", "in quotes"),
        ('  "no":  ', "  no:  ", "intents.no", 'put it in quotes: "no"'),
        ("  exchange_item:    {", "  refund_status:    {", "intents.refund_status", "stands twice"),
        ("max_tries: 3", "max_trys: 3", "identity.max_trys", "did you mean `max_tries`"),
        ("  3:\n    {", "  4:\n    {", "tiers [3]", "have no row"),
        ("version:", "version: [", "policy.yaml", "is not usable YAML"),
    ],
)  # fmt: skip
def test_a_slip_of_the_pen_is_found(tmp_path: Path, old: str, new: str, row: str, says: str) -> None:
    """One slip in the file: the message leads to it and says what was probably meant."""
    assert old in TEXT, f"{old!r} is not in policy.yaml any more: change this test with it"
    text = TEXT.replace(old, new, 1)
    path = tmp_path / "policy.yaml"
    path.write_text(text)
    with pytest.raises(PolicyError) as caught:
        read_policy(path)
    message = str(caught.value)
    assert str(path) in message
    assert row in message
    assert says in message


def test_the_line_is_named(tmp_path: Path) -> None:
    """The row's own line, not that of the file's end."""
    text = TEXT.replace("care_advice:      {tier: 0", "care_advice:      {tear: 0", 1)
    path = tmp_path / "policy.yaml"
    path.write_text(text)
    with pytest.raises(PolicyError, match=rf"line {line_of('{tear: 0', text)}: intents\.care_advice\.tear"):
        read_policy(path)


def test_several_slips_are_told_together(tmp_path: Path) -> None:
    """Nobody wants to restart a server once per slip."""
    path = tmp_path / "policy.yaml"
    path.write_text(
        TEXT.replace("reads: tool, tool", "reads: tol, tool").replace("route: strong", "route: x")
    )
    with pytest.raises(PolicyError, match=r"(?s)order_status\.reads.*product_advice\.route"):
        read_policy(path)


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (lambda d: d["intents"].update(waranty=d["intents"].pop("warranty")), "did you mean `warranty`"),
        (lambda d: d["intents"].pop("warranty"), "intents.warranty: has no row"),
        (lambda d: d["intents"]["order_status"].update(tool="order_stats"), "did you mean `order_status`"),
        (lambda d: d["intents"]["warranty"].update(category="waranty"), "intents.yaml has it in `warranty`"),
        (lambda d: d["overrides"]["desk_closed"].update(intents=["invoice"]), "did you mean `invoice_copy`"),
        (lambda d: d["overrides"]["degraded_line"].update(categories=["order"]), "did you mean `orders`"),
        (lambda d: d["overrides"]["plus_members"]["when"].update(segments=["pls"]), "did you mean `plus`"),
        (lambda d: d["overrides"]["vermont_credit"]["when"].update(regions=["vemont"]), "mean `vermont`"),
    ],
)  # fmt: skip
def test_a_name_nobody_knows_is_refused_with_the_nearest_one(edit, says: str, tmp_path: Path) -> None:
    """Intents, tools, categories, segments, regions: each against what there is."""
    document = shipped()
    edit(document)
    with pytest.raises(PolicyError) as caught:
        boot(document, tmp_path)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "just words",
        "a: &a [*a]",
        "\t- x",
        "version: !!python/object:os.system x",
        "a: " + "[" * 5000,
    ],
)
def test_a_file_that_is_no_table_is_refused(content: str, tmp_path: Path) -> None:
    """Empty, a list, words, an endless alias, a tab, an object, a well: one line, no traceback."""
    path = tmp_path / "policy.yaml"
    path.write_text(content)
    with pytest.raises(PolicyError, match=r"policy\.yaml"):
        read_policy(path)


def test_missing_and_binary_files_are_named(tmp_path: Path) -> None:
    """Nothing is guessed for a file that cannot be read."""
    with pytest.raises(PolicyError, match=r"nowhere\.yaml: No such file"):
        read_policy(tmp_path / "nowhere.yaml")
    (tmp_path / "binary.yaml").write_bytes(bytes(range(128, 256)))
    with pytest.raises(PolicyError, match=r"binary\.yaml: is not text"):
        read_policy(tmp_path / "binary.yaml")


def test_a_policy_test_with_a_slip_is_refused(tmp_path: Path) -> None:
    """The tests beside the policy are as strict as the policy."""
    path = tmp_path / "policy_tests.yaml"
    path.write_text("cases:\n  - {name: one, intents: [warranty], shure: 0.9, expect: {action: answer}}\n")
    with pytest.raises(PolicyError, match=r"line 2: cases\.0\.shure"):
        read_cases(path)
