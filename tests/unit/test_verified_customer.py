"""A `VerifiedCustomer` comes from the gate or is worth nothing: to the type checker, and at run time."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pytest

from voicebot.core.conversation import Keys
from voicebot.safety.identity import (
    Factor,
    Gate,
    GateProgress,
    GateRules,
    IdentityRecord,
    VerifiedCustomer,
    genuine,
)
from voicebot.safety.identity.customer import SEAL, Seal

ROOT = Path(__file__).resolve().parent.parent.parent
RULES = GateRules(factors=(Factor(name="order_number", digits=6), Factor(name="post_code", digits=5)))


def verified() -> VerifiedCustomer:
    gate = Gate(RULES)
    progress = gate.hear(GateProgress(), Keys(digits="427103"), asked="order_number")
    progress = gate.hear(progress, Keys(digits="94107"), asked="post_code")
    record = IdentityRecord(customer_id="cu_00001", values={"post_code": "94107"})
    made = gate.customer(gate.check(progress, [("427103", record)]))
    assert made is not None
    return made


def test_what_the_gate_makes_is_genuine() -> None:
    """The near miss of what follows: fields can be read, two of the same are equal, a copy is the same."""
    customer = verified()
    assert genuine(customer)
    assert (customer.customer_id, customer.reference, customer.level) == ("cu_00001", "427103", 1)
    assert customer == verified()
    assert copy.copy(customer) is customer
    assert copy.deepcopy(customer) is customer
    assert "cu_00001" not in repr(customer)


def by_constructor() -> Any:
    return VerifiedCustomer(cast(Seal, object()), "cu_00002", "427103", ("order_number",))


def by_a_seal_of_ones_own() -> Any:
    return VerifiedCustomer(Seal(), "cu_00002", "427103", ("order_number",))


def by_object_new() -> Any:
    made = object.__new__(VerifiedCustomer)
    object.__setattr__(made, "_fields", ("cu_00002", "427103", ("order_number",), 3))
    return made


def by_taking_the_proof_of_another() -> Any:
    made, real = object.__new__(VerifiedCustomer), verified()
    object.__setattr__(made, "_fields", object.__getattribute__(real, "_fields"))
    object.__setattr__(made, "_proof", object.__getattribute__(real, "_proof"))
    return made


def by_changing_a_real_one() -> Any:
    made = verified()
    object.__setattr__(made, "_fields", ("cu_00002", "427103", ("order_number",), 3))
    return made


def by_assignment() -> Any:
    made = verified()
    made.customer_id = "cu_00002"  # pyright: ignore[reportAttributeAccessIssue]
    return made


def by_replace() -> Any:
    return dataclasses.replace(cast(Any, verified()), customer_id="cu_00002")


def by_pickle() -> Any:
    return pickle.loads(pickle.dumps(verified()))  # noqa: S301  # our own


def by_subclass() -> Any:
    return type("Mine", (VerifiedCustomer,), {"customer_id": "cu_00002"})


def by_pretending() -> Any:
    class Pretender:
        __class__ = cast(Any, VerifiedCustomer)
        customer_id, reference, method, level = "cu_00002", "427103", ("order_number",), 3

    return Pretender()


@pytest.mark.parametrize(
    "forge",
    [
        by_constructor, by_a_seal_of_ones_own, by_object_new, by_taking_the_proof_of_another,
        by_changing_a_real_one, by_assignment, by_replace, by_pickle, by_subclass, by_pretending,
    ],
)  # fmt: skip
def test_a_forged_one_cannot_be_made_or_is_worth_nothing(forge: Any) -> None:
    """Whatever is put together by hand fails at once, or is not genuine and cannot be read."""
    try:
        forged = forge()
    except (TypeError, AttributeError):
        return
    assert not genuine(forged)
    if type(forged) is VerifiedCustomer:
        with pytest.raises(TypeError, match="did not come from the identity gate"):
            _ = forged.customer_id


def test_the_seal_is_one_object() -> None:
    """A second instance of its class is no seal."""
    assert Seal() is not SEAL


NEGATIVE = """
from voicebot.safety.identity import VerifiedCustomer

async def tool(customer: VerifiedCustomer) -> None: ...

VerifiedCustomer("cu_00001", "427103", ("order_number",), 1)  # error: no seal
VerifiedCustomer(object(), "cu_00001", "427103", ("order_number",))  # error: another seal

class Mine(VerifiedCustomer): ...  # error: final

def change(customer: VerifiedCustomer) -> None:
    customer.customer_id = "cu_00002"  # error: read only

async def unverified(customer: VerifiedCustomer | None) -> None:
    await tool(customer)  # error: perhaps nobody
    await tool("cu_00001")  # error: a word
    if customer is not None:
        await tool(customer)
"""


def test_the_type_checker_refuses_each_way_around_the_gate(tmp_path: Path) -> None:
    """pyright, strict, on a file of mistakes: an error on every marked line and on no other."""
    source = tmp_path / "forged.py"
    source.write_text(NEGATIVE, encoding="utf-8")
    (tmp_path / "pyrightconfig.json").write_text(
        f'{{"typeCheckingMode": "strict", "include": ["forged.py"], "extraPaths": ["{ROOT}"],'
        ' "pythonVersion": "3.11"}',
        encoding="utf-8",
    )
    run = subprocess.run(
        [
            *(sys.executable, "-m", "pyright", "--outputjson"),
            *("-p", str(tmp_path), "--pythonpath", sys.executable),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    found = {
        one["range"]["start"]["line"]
        for one in json.loads(run.stdout)["generalDiagnostics"]
        if one["severity"] == "error"
    }
    marked = {nth for nth, line in enumerate(NEGATIVE.splitlines()) if "# error" in line}
    assert found == marked
