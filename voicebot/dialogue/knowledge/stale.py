"""Articles whose review is overdue. The bot goes on quoting them; somebody has to look."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta

from voicebot.core.conversation import Strict
from voicebot.dialogue.knowledge.articles import Article


class StaleArticle(Strict):
    """An article, whose it is, and for how many days its review has been due."""

    article: str
    title: str
    owner: str
    reviewed: date
    overdue_days: int


def stale_articles(articles: Iterable[Article], today: date) -> tuple[StaleArticle, ...]:
    """Those that are overdue on ``today``, the longest first."""
    found = [
        StaleArticle(
            article=article.id,
            title=article.title,
            owner=article.owner,
            reviewed=article.reviewed,
            overdue_days=(today - article.reviewed - timedelta(days=article.review_days)).days,
        )
        for article in articles
        if article.stale(today)
    ]
    return tuple(sorted(found, key=lambda one: (-one.overdue_days, one.article)))
