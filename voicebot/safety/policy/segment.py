"""The customer's segment (standard, plus, ...): from the system of record, never from words."""

from __future__ import annotations

from dataclasses import dataclass

from voicebot.safety.identity import VerifiedCustomer, genuine

_SEAL = object()


@dataclass(frozen=True, slots=True, init=False)
class Segment:
    """A verified customer's segment, as the system of record has it.

    Made by `Segment.of_record` only, which demands the verified customer whose record was read. A
    caller who says "I am a Plus member" has no way to become one here.
    """

    name: str

    def __init__(self, seal: object, name: str) -> None:
        if seal is not _SEAL:
            raise TypeError("Segment comes from the system of record: use Segment.of_record(customer, name)")
        object.__setattr__(self, "name", name)

    @classmethod
    def of_record(cls, customer: VerifiedCustomer, name: str) -> Segment:
        """What the record of ``customer`` says. For connectors, after the gate.

        Raises:
            TypeError: there is no verified customer.
        """
        if not genuine(customer):
            raise TypeError("a segment is read for a VerifiedCustomer only: pass the caller through the gate")
        return cls(_SEAL, name)


def supposed(name: str) -> Segment:
    """For going through the table (proof, policy tests), where there is no caller."""
    return Segment(_SEAL, name)
