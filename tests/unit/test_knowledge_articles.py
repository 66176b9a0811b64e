"""An article that cannot be used is refused by name, with what to mend; others are cut to be quoted."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from voicebot.dialogue.knowledge.articles import (
    MAX_ARTICLE_BYTES,
    MAX_CHUNK_WORDS,
    ArticleError,
    read_article,
    read_articles,
)
from voicebot.dialogue.knowledge.stale import stale_articles

FRONT = "---\ntitle: T\nintents: [warranty]\nowner: o\nreviewed: 2026-01-01\n---\n"


def article(folder: Path, text: str | bytes, name: str = "one.md") -> Path:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("Only text.", "front matter"),
        (FRONT, "no text below the front matter"),
        (FRONT + "## Only a heading\n", "no text below the front matter"),
        (FRONT.replace("2026-01-01", "2026-02-30") + "Text.", "front matter is not YAML"),
        (FRONT.replace("2026-01-01", "last week") + "Text.", "reviewed"),
        (FRONT.replace("[warranty]", "warranty") + "Text.", r"list, as in \[warranty\]"),
        (FRONT.replace("[warranty]", "[[a]]") + "Text.", "intents"),
        (FRONT.replace("[warranty]", "7") + "Text.", "intents must be a list"),
        (FRONT.replace("owner: o", "owner: o\nreview_days: 0") + "Text.", "review_days"),
        (FRONT.replace("owner", "ownr") + "Text.", r"unknown key ownr: did you mean owner\?$"),
        (FRONT.replace("owner: o\n", "") + "Text.", "owner is missing"),
        (FRONT.replace("title: T", "title: [T") + "Text.", "front matter is not YAML: line 3: "),
        (FRONT.replace("owner: o", "owner: o\nregion: New York") + "Text.", "region"),
        (FRONT.encode() + b"caf\xe9", "not UTF-8 at byte"),
        (FRONT + "Zero \0 byte.", "zero byte"),
        (FRONT + "word " * (MAX_ARTICLE_BYTES // 5), "cut it up"),
    ],
)
def test_a_bad_article_is_named_with_its_remedy(tmp_path: Path, text: str | bytes, says: str) -> None:
    """The file and what is wrong in it."""
    with pytest.raises(ArticleError, match=rf"one\.md: .*{says}"):
        read_article(article(tmp_path, text))


def test_an_unknown_intent_is_refused_with_the_nearest_known(tmp_path: Path) -> None:
    """Only where the intents that exist are given; a known one passes."""
    article(tmp_path, FRONT + "Text.")
    assert read_articles(tmp_path)[0].intents == ("warranty",)
    assert read_articles(tmp_path, {"warranty"})
    with pytest.raises(ArticleError, match=r"one\.md: unknown intent warranty: did you mean warranties"):
        read_articles(tmp_path, {"warranties", "returns"})


def test_two_files_of_one_id_are_refused_by_both_names(tmp_path: Path) -> None:
    """Folders within the folder are read too; an id is a file's name wherever it lies."""
    article(tmp_path, FRONT + "Text.")
    article(tmp_path, FRONT + "Text.", "more/two.md")
    assert [one.id for one in read_articles(tmp_path)] == ["one", "two"]
    article(tmp_path, FRONT + "Text.", "more/one.md")
    with pytest.raises(ArticleError, match=r"one\.md: the id 'one' is taken by .*one\.md"):
        read_articles(tmp_path)


def test_an_empty_folder_is_no_knowledge(tmp_path: Path) -> None:
    """A deployment pointed at the wrong folder hears of it."""
    with pytest.raises(ArticleError, match="holds no articles"):
        read_articles(tmp_path)


def test_text_is_cut_under_headings_and_between_sentences(tmp_path: Path) -> None:
    """Windows line ends do no harm; no chunk is longer than can be quoted, none is cut within a sentence."""
    long = " ".join(f"Sentence {n} has these six words." for n in range(60))
    read = read_article(article(tmp_path, (FRONT + "Before.\n\n## More\n" + long).replace("\n", "\r\n")))
    assert [chunk.heading for chunk in read.chunks] == ["", "More", "More", "More"]
    assert read.chunks[0].body == "Before."
    assert all(len(chunk.body.split()) <= MAX_CHUNK_WORDS for chunk in read.chunks)
    assert all(chunk.body.endswith(".") for chunk in read.chunks)
    assert " ".join(chunk.body for chunk in read.chunks[1:]) == long


def test_a_review_holds_for_its_days_and_no_longer(tmp_path: Path) -> None:
    """180 days where the article says nothing, else what it says; the longest overdue comes first."""
    article(tmp_path, FRONT + "Text.", "usual.md")
    article(tmp_path, FRONT.replace("owner: o", "owner: o\nreview_days: 10") + "Text.", "short.md")
    read = read_articles(tmp_path)
    assert stale_articles(read, date(2026, 1, 11)) == ()
    assert [one.article for one in stale_articles(read, date(2026, 1, 12))] == ["short"]
    assert [(one.article, one.overdue_days) for one in stale_articles(read, date(2026, 7, 1))] == [
        ("short", 171),
        ("usual", 1),
    ]
