"""A caller whose identity was checked, as a type that only the gate can make.

The type checker refuses to make or to extend one elsewhere. At run time each carries a proof over its fields
under a secret of this process, and every reading of a field looks at it: one put together by hand is useless.
"""

from __future__ import annotations

import hmac
import secrets
from hashlib import sha256
from typing import NoReturn, Self, TypeGuard, final

_SECRET = secrets.token_bytes(32)


@final
class Seal:
    """What only the gate holds. Without it no `VerifiedCustomer` is made."""

    __slots__ = ()


SEAL = Seal()


@final
class VerifiedCustomer:
    """A caller whose identity this gate has checked. Tools that touch an account demand this type.

    Cannot be made by hand: `Gate.customer` is the only source, so code that holds one has been
    through the gate. Cannot be changed, extended or pickled; a copy is the same object.

    Raises:
        TypeError: it was made elsewhere; also when a field of one that was put together by hand is read.
    """

    __slots__ = ("_fields", "_proof")
    _fields: tuple[str, str, tuple[str, ...], int]
    _proof: bytes

    def __init__(
        self, seal: Seal, customer_id: str, reference: str, method: tuple[str, ...], level: int = 1
    ) -> None:
        if seal is not SEAL:
            raise TypeError("VerifiedCustomer is made by the identity gate only: use Gate.customer(progress)")
        fields = (customer_id, reference, method, level)
        object.__setattr__(self, "_fields", fields)
        object.__setattr__(self, "_proof", _proof(self, fields))

    @property
    def customer_id(self) -> str:
        """Whom the system of record knows under this id."""
        return self._read()[0]

    @property
    def reference(self) -> str:
        """The value of the factor that found the customer (an order number), as the caller gave it."""
        return self._read()[1]

    @property
    def method(self) -> tuple[str, ...]:
        """Names of the factors that matched."""
        return self._read()[2]

    @property
    def level(self) -> int:
        """How much was proved, 1 to 3: the level of the factor set that was passed."""
        return self._read()[3]

    def _read(self) -> tuple[str, str, tuple[str, ...], int]:
        if not genuine(self):
            raise TypeError("this VerifiedCustomer did not come from the identity gate")
        return self._fields

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("a VerifiedCustomer does not change")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("a VerifiedCustomer does not change")

    def __init_subclass__(cls) -> NoReturn:
        raise TypeError("VerifiedCustomer cannot be extended")

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a VerifiedCustomer is not stored: store the gate's progress")

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __eq__(self, other: object) -> bool:
        return isinstance(other, VerifiedCustomer) and self._read() == other._read()

    def __hash__(self) -> int:
        return hash(self._read())

    def __repr__(self) -> str:
        return "VerifiedCustomer(...)"


def genuine(customer: object) -> TypeGuard[VerifiedCustomer]:
    """Whether this is one that the gate of this process has made."""
    if type(customer) is not VerifiedCustomer:
        return False
    try:
        fields, proof = (
            object.__getattribute__(customer, "_fields"),
            object.__getattribute__(customer, "_proof"),
        )
    except AttributeError:
        return False
    return isinstance(proof, bytes) and hmac.compare_digest(proof, _proof(customer, fields))


def _proof(customer: object, fields: object) -> bytes:
    """Bound to the object itself, so that a proof taken from another one proves nothing."""
    return hmac.new(_SECRET, f"{id(customer)}:{fields!r}".encode(), sha256).digest()
