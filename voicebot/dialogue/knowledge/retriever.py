"""Finds the passages that answer a question: hybrid search, rerank, grounding, ambiguity.

    retriever = Retriever(choose_embedding(settings.embedding, models), read_weights(models))
    found = await retriever.search(tx, "can i send it back", intent="return_policy")
    found.passages[0].source, found.grounding, found.ambiguous

One per process; all conversations share it. The question's vector is made in a thread, not on the event loop.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from voicebot.core.conversation import Source
from voicebot.core.store.database import Transaction
from voicebot.dialogue.knowledge.ambiguity import nearly_alike
from voicebot.dialogue.knowledge.candidates import Candidate, candidates
from voicebot.dialogue.knowledge.embedding import Embedding, EmbeddingError, EmbeddingMismatch
from voicebot.dialogue.knowledge.ingest import literals
from voicebot.dialogue.knowledge.lsa import FIT
from voicebot.dialogue.knowledge.passage import Evidence, Passage, Retrieval
from voicebot.dialogue.knowledge.rerank import Ranked, Weights, rerank, weights_for
from voicebot.dialogue.knowledge.words import asked, places_in
from voicebot.dialogue.monitor.features import MAX_CHARS

FLOOR = 0.45
"""Grounding below which an answer is a guess: abstain. What it lets through stands in docs/knowledge.md."""

COMPARED = 12
"""How many passages are looked at to see whether others fit nearly alike."""

PASSAGES = 6
"""How many passages are looked at for an answer; most of them may not back it (`generation.backing`)."""


class Retriever:
    """Searches the articles with one embedding."""

    def __init__(self, embedding: Embedding, weights: Mapping[str, Weights] | None = None) -> None:
        self.version = embedding.id
        self._embedding = embedding
        self._weights = weights_for(embedding.id, weights or {})

    async def search(
        self,
        tx: Transaction,
        question: str,
        *,
        intent: str | None = None,
        region: str | None = None,
        limit: int = PASSAGES,
    ) -> Retrieval:
        """The passages for a question, best first.

        Args:
            tx: the transaction.
            question: the caller's words; what is beyond `MAX_CHARS` is not read.
            intent: what they want, as far as it is known; speaks for articles tagged with it.
            region: theirs, if known. An article for a region is found only for that region, or when the
                question names it.
            limit: most passages returned.

        Raises:
            EmbeddingMismatch: the stored vectors are of another embedding.
        """
        question = question[:MAX_CHARS]
        vectors, words = await asyncio.gather(
            asyncio.to_thread(self._embedding.embed, [question]), asked(tx, question)
        )
        if words.embedding != self._embedding.id:
            raise EmbeddingMismatch(words.embedding, self._embedding.id)
        known = bool(vectors.any())  # else only the intent's articles remain
        vector = literals(vectors if known else vectors + 1.0)[0]
        regions = [*([region] if region else []), *places_in(question)]
        found = await candidates(tx, words, vector, intent=intent, regions=regions)
        if not known:
            far = {"cosine": 0.0, "near": None}
            found = [one.model_copy(update=far) for one in found if one.tagged or one.worded]
        ranked = rerank(found, question, words.lexemes, intent, self._weights)
        passages = tuple(_passage(one, intent) for one in ranked[: max(limit, COMPARED)])
        return Retrieval(
            passages=passages[:limit],
            grounding=passages[0].grounding if passages else 0.0,
            ambiguous=nearly_alike(passages),
            best_of=len(ranked),
        )


def read_weights(models: Path) -> dict[str, Weights]:
    """The fitted weights by kind of embedding, out of ``knowledge.json``.

    Raises:
        EmbeddingError: the file cannot be read, or holds none.
    """
    path = models / "knowledge.json"
    try:
        card: Any = json.loads(path.read_text())
        return {kind: Weights.model_validate_json(json.dumps(one)) for kind, one in card["weights"].items()}
    except (OSError, KeyError, ValueError, AttributeError, ValidationError) as error:
        raise EmbeddingError(f"{path} cannot be read: {FIT}") from error


def _passage(one: Ranked, intent: str | None) -> Passage:
    candidate: Candidate = one.candidate
    return Passage(
        source=Source(
            article=candidate.article,
            title=candidate.title,
            version=candidate.version,
            score=round(one.grounding, 4),
        ),
        heading=candidate.heading,
        body=candidate.body,
        grounding=round(one.grounding, 4),
        tagged=intent is not None and intent in candidate.intents,
        stale=candidate.stale,
        region=candidate.region,
        evidence=Evidence(
            near=candidate.near,
            worded=candidate.worded,
            tagged=candidate.tagged,
            cosine=round(one.features.cosine, 4),
            coverage=round(one.features.coverage, 4),
            headed=round(one.features.headed, 4),
            numbers=round(one.features.numbers, 4),
        ),
    )
