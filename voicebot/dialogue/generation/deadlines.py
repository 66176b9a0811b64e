"""How long a writer may take, and what is left of a caller's patience. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Deadlines:
    """How long an answer may take, in seconds.

    The first clause of all writers together comes before the call's own fallback (4 s): a second writer only
    gets what the first one left, and when that is less than ``worth_s``, the quoted article speaks at once.
    """

    first_token_s: float = 2.5
    between_tokens_s: float = 2.0
    whole_s: float = 15.0
    first_clause_s: float = 3.4
    between_clauses_s: float = 3.4
    worth_s: float = 0.7

    def patience_s(self, waited_s: float, *, began: bool) -> float | None:
        """How long a writer that starts now may take for its first clause; None: no use to start one.

        Args:
            waited_s: since this answer was begun, by whichever writer.
            began: the caller hears something already.
        """
        left_s = self.between_clauses_s if began else self.first_clause_s - waited_s
        return left_s if left_s >= self.worth_s else None

    def step_s(self, *, waited_s: float, clause_age_s: float, clause_limit_s: float, tokens: bool) -> float:
        """How long the next token may take.

        Args:
            waited_s: since this writer began.
            clause_age_s: since its last clause, or its beginning.
            clause_limit_s: what that may become.
            tokens: whether it has sent any.
        """
        step_s = self.between_tokens_s if tokens else self.first_token_s
        return max(0.0, min(step_s, self.whole_s - waited_s, clause_limit_s - clause_age_s))
