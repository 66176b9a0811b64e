"""A deployment that cannot work refuses to boot, and says which file and key to mend."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from voicebot.dialogue.deployment import Deployment, DeploymentError
from voicebot.dialogue.phrases import UnknownPhrase

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the reference deployment, to be spoilt."""
    for name in ("business", "tools", "models", "pipelines"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def spoil(folder: Path, name: str, old: str, new: str) -> None:
    path = folder / name
    text = path.read_text()
    assert old in text, f"{old!r} is not in {name} any more: change this test with it"
    path.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize(
    ("name", "old", "new", "says"),
    [
        ("business/policy.yaml", "warranty:         {tier: 0", "warranty:         {tear: 0", r"policy\.yaml(.|\n)*tear"),  # noqa: E501
        ("business/policy.yaml", "  warranty: ", "  guarantee: ", "warranty"),
        ("business/policy.yaml", "tool: order_status", "tool: order_state", "order_state"),
        ("business/policy.yaml", "version:", "version: [", r"policy\.yaml"),
        ("business/policy.yaml", "{0: Joe Ruiz, 1: Joe Ruiz,", "{0: Joe Ruiz,", r"owners(.|\n)*missing \[1\]"),  # noqa: E501
        ("business/policy.yaml", "deputy: Joe Ruiz", "deputy: Ada Lane", r"owners(.|\n)*somebody else"),
        ("business/policy.yaml", "others: Ada Lane}", "answer: Ada Lane}", "nobody answers for .*material"),
        ("business/policy.yaml", "others: Ada Lane}", "others: Ada Lane, poem: Ada Lane}", "no prompts .*poem"),  # noqa: E501
        ("business/policy.yaml", "voice: Joe Ruiz", "voice: joe", r"owners\.prompts\.voice"),
        ("business/policy.yaml", "\nowners:\n", "\nowner:\n", "did you mean `owners`"),
        ("business/policy.yaml", "asked_for_person: {at", "asked_for_person: {on: false, at", "asked_for_person"),  # noqa: E501
        ("business/policy.yaml", "segments: {plus: 3}", "segments: {gold: 3}", "unknown segment `gold`"),
        ("business/policy.yaml", "mood: {over", "mood: {ower: 3, over", "did you mean `over`"),
        ("business/policy.yaml", "legal: [lawyer,", "legal: [Lawyer!,", "lower-case words"),
        ("business/phrases.yaml", "end.goodbye:", "end.good_bye:", r"phrases\.yaml(.|\n)*end\.goodbye"),
        ("business/phrases.yaml", "{carrier}", "{driver}", r"order_status\.shipped.*driver"),
        ("business/phrases.yaml", "order_status.delayed:", "order_status.late:", r"order_status\.delayed"),
        ("business/phrases.yaml", "identity.post_code.keypad", "identity.post_code.keys", r"post_code\.keypad"),  # noqa: E501
        ("business/phrases.yaml", "identity.code.undelivered", "identity.code.lost", r"code\.undelivered"),
        ("business/phrases.yaml", '"1": opening_hours', '"1": opening', "opening"),
        ("business/phrases.yaml", '"1": opening_hours', '"0": opening_hours', "menu"),
        ("business/intents.yaml", "  warranty:\n", "  garantie:\n", "garantie|warranty"),
        ("business/intents.yaml", "means: \"the warranty\"", "meens: \"the warranty\"", r"intents\.yaml(.|\n)*meens"),  # noqa: E501
        ("business/knowledge/returns.md", "owner:", "possessor:", r"returns\.md.*possessor|returns\.md.*owner"),  # noqa: E501
        ("business/knowledge/returns.md", "---\n", "", r"returns\.md.*front matter"),
        ("business/knowledge/returns.md", "return_policy", "return_police", "return_police"),
        ("business/shop/queries.sql", "identity_by_order_number", "identity_by_number", "identity_by_order_number"),  # noqa: E501
        ("business/shop/queries.sql", "SELECT o.customer_id", "DELETE FROM shop.orders; SELECT o.customer_id", "SELECT"),  # noqa: E501
        ("business/prompts/material.md", "{passages}", "{articles}", "articles"),
        ("tools/order_status.py", '    """Status, parcel', '    # """Status, parcel', "order_status"),
        ("tools/order_status.py", "async def order_status", "def order_status", "async"),
        ("tools/order_status.py", "request: OrderStatusRequest", "request: dict", "parameters"),
        ("tools/order_status.py", "import Field", "import Feild", r"order_status\.py"),
        ("models/monitor.json", '"warranty"', '"garantie"', "train_monitor"),
    ],
)  # fmt: skip
def test_a_spoilt_file_is_refused_by_name(folder: Path, name: str, old: str, new: str, says: str) -> None:
    """One edit to one file: the message leads to it."""
    spoil(folder, name, old, new)
    with pytest.raises(DeploymentError, match=says):
        Deployment.load(folder)


@pytest.mark.parametrize("name", ["business/policy.yaml", "business/phrases.yaml", "models/monitor.npz", "business/prompts/answer.md"])  # fmt: skip  # noqa: E501
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    """Nothing is guessed for a file that is not there."""
    (folder / name).unlink()
    with pytest.raises(DeploymentError, match=Path(name).stem):
        Deployment.load(folder)


def test_two_tools_of_one_name_are_refused(folder: Path) -> None:
    """Both files are named."""
    shutil.copy(folder / "tools/order_status.py", folder / "tools/orders.py")
    with pytest.raises(DeploymentError, match=r"twice.*order_status\.py.*orders\.py"):
        Deployment.load(folder)


def test_another_folder_is_not_a_deployment(tmp_path: Path) -> None:
    """Started in the wrong place: says what to do."""
    with pytest.raises(DeploymentError, match="--deployment"):
        Deployment.load(tmp_path)


def test_the_reference_deployment_loads_and_knows_its_lines() -> None:
    """Fixed phrases have no slots and stand once; lines with slots are filled; unknown ones are refused."""
    deployment = Deployment.load(ROOT)
    fixed = deployment.fixed_phrases()
    assert len(fixed) == len(set(fixed))
    assert "What are the six digits of your order number?" in fixed
    assert not [text for text in fixed if "{" in text]
    assert deployment.phrases.text("identity.order_number.heard", value="427103") == (
        "I have four two seven, one zero three."
    )
    with pytest.raises(UnknownPhrase):
        deployment.phrases.text("no.such.line")
    assert callable(deployment.pipeline("phone"))
    with pytest.raises(DeploymentError, match="radio"):
        deployment.pipeline("radio")


def test_cue_words_of_the_fixed_phrases_stay() -> None:
    """Callers, and synthetic ones that only listen, rely on a few words: keep them in these lines."""
    phrases = Deployment.load(ROOT).phrases
    for key, cue in {
        "identity.order_number.first": "order number",
        "identity.order_number.again": "order number",
        "identity.order_number.retry": "order number",
        "identity.order_number.keypad": "keypad",
        "identity.post_code.first": "post code",
        "identity.post_code.again": "post code",
        "identity.post_code.retry": "post code",
        "identity.post_code.keypad": "keypad",
        "handoff.now": "connect you",
        "end.goodbye": "Goodbye",
    }.items():
        assert cue in phrases.text(key), key
