"""A turn of a call, proposed as a golden case."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, HTTPException, Path
from pydantic import BaseModel, ConfigDict, Field

from voicebot.console.agent_words import without_card
from voicebot.console.corrections import from_review
from voicebot.console.handoffs import Reads, StepBody, acting
from voicebot.console.player.opening import ConversationId, Player, open_call
from voicebot.core.store import audit


class Expected(BaseModel):
    """What should have come of a turn, in the golden format (`docs/golden.md`); at least one thing."""

    model_config = ConfigDict(extra="forbid", strict=True)

    intent: str | None = Field(default=None, max_length=80, pattern="^[a-z0-9_*?]+$")
    action: str | None = Field(default=None, max_length=40, pattern="^[a-z_*?]+$")
    after: Literal["continue", "hang_up", "hand_over"] | None = None
    says: list[Annotated[str, Field(min_length=1, max_length=200)]] = Field(default=[], max_length=10)
    never_says: list[Annotated[str, Field(min_length=1, max_length=200)]] = Field(default=[], max_length=10)


class GoldenBody(BaseModel):
    """A turn as a golden case. ``agent``: who proposes it, only with the API's token."""

    model_config = ConfigDict(extra="forbid", strict=True)

    expect: Expected
    why: str | None = Field(default=None, max_length=2000)
    agent: str | None = Field(default=None, pattern=r"^[A-Za-z0-9+][A-Za-z0-9 ._:@+-]{0,79}$")


class Proposed(BaseModel):
    """The correction that was made; it counts when somebody else has accepted it."""

    model_config = ConfigDict(extra="forbid")

    correction: str


def add_golden(router: APIRouter, player: Player) -> None:
    """A golden case of one turn."""

    @router.post("/{conversation_id}/turns/{turn}/golden", status_code=201)
    async def golden(
        who: Reads,
        conversation_id: ConversationId,
        turn: Annotated[int, Path(ge=0, le=100_000)],
        body: GoldenBody,
    ) -> Proposed:
        """Proposes the call up to this turn as a golden case; somebody else reviews it."""
        by = acting(who, StepBody(agent=body.agent))
        expect = body.expect.model_dump(exclude_defaults=True)
        if not expect:
            raise HTTPException(422, "say what should have come of the turn")
        for text in (*body.expect.says, *body.expect.never_says, body.why):
            without_card(text)
        async with player.database.transaction() as tx:
            await open_call(player, tx, who, conversation_id)
            try:
                made = await from_review(tx, player.keys, conversation_id, turn, expect, body.why, by)
            except ValueError as error:
                raise HTTPException(422, _plain(error)) from error
            if made is None:
                raise HTTPException(409, "what you proposed of this turn was decided already")
            await audit.record(
                tx,
                action="correction.proposed",
                actor=by,
                facts={"correction": made, "kind": "golden_case"},
                conversation_id=conversation_id,
                turn=turn,
            )
        return Proposed(correction=made)

    _ = golden  # used by the router


def _plain(error: ValueError) -> str:
    """What is wrong with a document, without what was given."""
    told = getattr(error, "errors", None)
    if told is None:
        return str(error)
    return "; ".join(
        f"{'.'.join(map(str, one['loc'][-2:]))}: {one['msg']}" for one in told(include_input=False)
    )
