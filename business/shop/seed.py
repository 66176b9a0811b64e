"""Fills an empty shop: customers, orders in every status, payments, parcels, returns.

The same seed and day give the same shop. Dates are relative to ``today``, so that a demo order
is still on its way whenever the demo runs. ``DEMO_ORDERS`` are the ones documents and demos name.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Protocol

SEED = 20
CUSTOMERS = 200


@dataclass(frozen=True)
class DemoOrder:
    """An order to try things with: what a caller would have to know, and its status."""

    number: str
    post_code: str
    status: str
    items: tuple[tuple[str, int], ...]


DEMO_ORDERS = (
    DemoOrder("427103", "94107", "shipped", (("oak side table", 18900),)),
    DemoOrder("518264", "60614", "delivered", (("wool rug", 24900), ("floor lamp", 8900))),
    DemoOrder("635192", "73301", "processing", (("linen sofa", 129900),)),
    DemoOrder("284917", "30305", "delayed", (("walnut desk", 45900), ("desk lamp", 5900), ("rug", 9900))),
    DemoOrder("951738", "98109", "out_for_delivery", (("round mirror", 11900),)),
    DemoOrder("746205", "10025", "cancelled", (("bed frame", 69900),)),
    DemoOrder("362841", "85004", "returned", (("velvet armchair", 39900),)),
)

FIRST = [
    "Ana",
    "Ben",
    "Carla",
    "Dan",
    "Eve",
    "Frank",
    "Grace",
    "Hugo",
    "Iris",
    "Jack",
    "Kate",
    "Leo",
    "Mia",
    "Noah",
    "Olga",
    "Paul",
    "Rosa",
    "Sam",
    "Tess",
    "Will",
]
LAST = [
    "Adams",
    "Baker",
    "Clark",
    "Diaz",
    "Evans",
    "Flores",
    "Green",
    "Hill",
    "Irwin",
    "Jones",
    "King",
    "Lopez",
    "Moore",
    "Nolan",
    "Ortiz",
    "Price",
    "Reed",
    "Stone",
]
CITIES = (
    ("Portland", "97"), ("Austin", "78"), ("Chicago", "60"), ("Boston", "02"), ("Denver", "80"),
    ("Atlanta", "30"), ("Seattle", "98"), ("Phoenix", "85"), ("Miami", "33"), ("Columbus", "43"),
)  # fmt: skip
ITEMS = (
    ("oak side table", 18900), ("walnut desk", 45900), ("linen sofa", 129900), ("wool rug", 24900),
    ("floor lamp", 8900), ("desk lamp", 5900), ("bookshelf", 21900), ("bed frame", 69900),
    ("round mirror", 11900), ("velvet armchair", 39900), ("dining table", 59900), ("dining chair", 12900),
    ("linen curtains", 7900), ("cushion set", 4900), ("ceramic vase", 3900), ("coat rack", 6900),
)  # fmt: skip
CARRIERS = ("Blue Arrow", "Northway Freight", "Parcel Line")
METHODS = ("credit card", "credit card", "debit card", "gift card", "installments")
STATUSES = ("processing", "shipped", "shipped", "out_for_delivery", "delivered", "delivered", "delivered",
            "delayed", "cancelled", "returned")  # fmt: skip
REGIONS = ("hawaii", "vermont", "canada")


class Cursor(Protocol):
    """What `seed` needs of a psycopg cursor or connection."""

    def execute(self, query: Any, params: Any = None, /) -> Any:
        """Runs one statement."""
        ...


def seed(cursor: Cursor, *, today: date, customers: int = CUSTOMERS) -> int:
    """Writes the shop in the caller's transaction; the tables must be empty. Returns the number of orders."""
    rng = random.Random(SEED)
    numbers = {order.number for order in DEMO_ORDERS}
    orders = 0
    for nth in range(customers):
        city, prefix = rng.choice(CITIES)
        demo = DEMO_ORDERS[nth] if nth < len(DEMO_ORDERS) else None
        post_code = demo.post_code if demo else f"{prefix}{rng.randrange(1000):03d}"
        first, last = rng.choice(FIRST), rng.choice(LAST)
        customer = f"cu_{nth + 1:05d}"
        cursor.execute(
            "INSERT INTO shop.customers VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
            (
                customer, first, last, f"{first}.{last}.{nth + 1}@example.com".lower(), f"+1202555{nth:04d}",
                post_code, city, "plus" if rng.random() < 0.15 else "standard",
                today - timedelta(days=rng.randrange(100, 1500)),
            ),
        )  # fmt: skip
        if demo:
            _order(cursor, rng, today, demo.number, customer, post_code, demo.status, list(demo.items))
            orders += 1
        for _ in range(rng.randrange(1, 4) - (1 if demo else 0)):
            number = f"{rng.randrange(100000, 1000000)}"
            if number in numbers:
                continue
            numbers.add(number)
            items = rng.sample(ITEMS, rng.randrange(1, 4))
            _order(cursor, rng, today, number, customer, post_code, rng.choice(STATUSES), items)
            orders += 1
    if customers >= 42:
        _unpaid(cursor, today)
    _preferences(cursor, customers)
    _facts(cursor, customers)
    _more(cursor, today)
    return orders


def _preferences(cursor: Cursor, customers: int) -> None:
    """How some of them like to be spoken to, where they live, what they agreed to. Of the customers with demo
    orders, the fifth does not want to be remembered; dice of its own, so that the orders stay what they are.
    """
    rng = random.Random(SEED + 1)
    for nth in range(customers):
        demo = nth < len(DEMO_ORDERS)
        region = rng.choice(REGIONS) if rng.random() < 0.05 and not demo else None
        remembers = nth != 4 if demo else rng.random() > 0.1
        cursor.execute(
            "UPDATE shop.customers SET region = %s, consent_memory = %s, consent_training = %s WHERE id = %s",
            (region, remembers, rng.random() < 0.3, f"cu_{nth + 1:05d}"),
        )


def _facts(cursor: Cursor, customers: int) -> None:
    """Birthdays, and the last digits of the cards that paid; dice of their own. The first demo customer's are
    known: born on the third of March 1985, card 4417.
    """
    rng = random.Random(SEED + 2)
    for nth in range(customers):
        born = date(1940, 1, 1) + timedelta(days=rng.randrange(24000))
        cursor.execute(
            "UPDATE shop.customers SET birth_date = %s WHERE id = %s",
            (date(1985, 3, 3) if nth == 0 else born, f"cu_{nth + 1:05d}"),
        )
        cursor.execute(
            "UPDATE shop.payments p SET card_digits = %s FROM shop.orders o WHERE o.number = p.order_number"
            " AND o.customer_id = %s"
            " AND (p.method LIKE '%% card' AND p.method <> 'gift card' OR o.number = %s)",
            (
                "4417" if nth == 0 else f"{rng.randrange(10000):04d}",
                f"cu_{nth + 1:05d}",
                DEMO_ORDERS[0].number,
            ),
        )


UNPAID = DemoOrder("830274", "30309", "processing", (("floor lamp", 8900),))
"""An order whose payment was declined, to pay on the telephone; of a customer without another demo order."""


def _unpaid(cursor: Cursor, today: date) -> None:
    """The order of `UNPAID`; no dice."""
    customer, number = "cu_00042", UNPAID.number
    placed = today - timedelta(days=1)
    total = sum(price for _, price in UNPAID.items)
    cursor.execute(
        "INSERT INTO shop.orders VALUES (%s, %s, %s, %s, %s, %s)",
        (number, customer, UNPAID.status, UNPAID.post_code, total, placed),
    )
    for line, (item, price) in enumerate(UNPAID.items, start=1):
        cursor.execute("INSERT INTO shop.order_items VALUES (%s, %s, %s, 1, %s)", (number, line, item, price))
    cursor.execute(
        "INSERT INTO shop.payments (order_number, method, amount_cents, paid_on, status)"
        " VALUES (%s, 'credit card', %s, %s, 'declined')",
        (number, total, placed),
    )
    due, shipped, delivered = _dates(UNPAID.status, today, placed)
    cursor.execute(
        "INSERT INTO shop.shipments VALUES (%s, %s, %s, %s, %s, %s)",
        (number, CARRIERS[2], f"HH{number}000", shipped, due, delivered),
    )


def _more(cursor: Cursor, today: date) -> None:
    """What stands beside the orders: stock, memberships, where parcels were seen, what is made to measure."""
    for nth, (item, price) in enumerate(ITEMS):
        cursor.execute(
            "INSERT INTO shop.stock VALUES (%s, %s, %s)", (item, price, 0 if nth % 8 == 7 else 5 + nth)
        )
    cursor.execute(
        "INSERT INTO shop.memberships (customer_id, price_cents, since, renews_on)"
        " SELECT id, 4900, created_on, (created_on + make_interval(years => 1 + extract(year FROM"
        " age(%(today)s::date, created_on))::integer))::date FROM shop.customers WHERE tier = 'plus'",
        {"today": today},
    )
    cursor.execute(
        "UPDATE shop.order_items i SET custom = true FROM shop.orders o WHERE o.number = i.order_number"
        " AND i.item = 'linen curtains' AND o.number NOT IN (SELECT unnest(%s::text[]))",
        ([order.number for order in DEMO_ORDERS],),
    )
    cursor.execute(
        "INSERT INTO shop.scans SELECT order_number, shipped_on + time '18:30', 'the warehouse', 'picked_up'"
        " FROM shop.shipments WHERE shipped_on IS NOT NULL"
    )
    cursor.execute(
        "INSERT INTO shop.scans SELECT s.order_number, s.shipped_on + time '23:10', c.city, 'sorted'"
        " FROM shop.shipments s JOIN shop.orders o ON o.number = s.order_number"
        " JOIN shop.customers c ON c.id = o.customer_id WHERE s.shipped_on IS NOT NULL"
    )
    for status, event in (("out_for_delivery", "out_for_delivery"), ("delivered", "delivered")):
        cursor.execute(
            "INSERT INTO shop.scans SELECT s.order_number, coalesce(s.delivered_on, s.due_on) + time '14:05',"
            " c.city, %s FROM shop.shipments s JOIN shop.orders o ON o.number = s.order_number"
            " JOIN shop.customers c ON c.id = o.customer_id WHERE o.status = %s AND s.shipped_on IS NOT NULL",
            (event, status),
        )


def _order(
    cursor: Cursor,
    rng: random.Random,
    today: date,
    number: str,
    customer: str,
    post_code: str,
    status: str,
    items: list[tuple[str, int]],
) -> None:
    age = {"processing": 1, "shipped": 4, "out_for_delivery": 6, "delayed": 12, "cancelled": 9}.get(
        status, rng.randrange(12, 60)
    )
    if status == "delivered" and any(demo.number == number for demo in DEMO_ORDERS):
        age = 16  # so that what a demo sends back can be sent back
    placed = today - timedelta(days=age)
    total = sum(price for _, price in items)
    cursor.execute(
        "INSERT INTO shop.orders VALUES (%s, %s, %s, %s, %s, %s)",
        (number, customer, status, post_code, total, placed),
    )
    for line, (item, price) in enumerate(items, start=1):
        cursor.execute("INSERT INTO shop.order_items VALUES (%s, %s, %s, 1, %s)", (number, line, item, price))
    if status != "cancelled":
        due, shipped, delivered = _dates(status, today, placed)
        cursor.execute(
            "INSERT INTO shop.shipments VALUES (%s, %s, %s, %s, %s, %s)",
            (number, rng.choice(CARRIERS), f"HH{number}{rng.randrange(1000):03d}", shipped, due, delivered),
        )
    refunded = today - timedelta(days=1) if status in {"cancelled", "returned"} else None
    cursor.execute(
        "INSERT INTO shop.payments (order_number, method, amount_cents, paid_on, refunded_on)"
        " VALUES (%s, %s, %s, %s, %s)",
        (number, rng.choice(METHODS), total, placed, refunded),
    )
    if status == "returned":
        cursor.execute(
            "INSERT INTO shop.returns VALUES (%s, %s, %s, %s)",
            (number, "changed mind", today - timedelta(days=2), today - timedelta(days=7)),
        )


def _dates(status: str, today: date, placed: date) -> tuple[date, date | None, date | None]:
    """Due, shipped and delivered."""
    match status:
        case "processing":
            return _workday(today + timedelta(days=2)), None, None
        case "shipped":
            return _workday(today + timedelta(days=2)), today - timedelta(days=1), None
        case "out_for_delivery":
            return today, today - timedelta(days=3), None
        case "delayed":
            return _workday(today + timedelta(days=6)), today - timedelta(days=8), None
        case _:
            delivered = _workday(placed + timedelta(days=5))
            return delivered, placed + timedelta(days=2), delivered


def _workday(day: date) -> date:
    """The day itself, or the Monday after a weekend."""
    return day + timedelta(days=max(0, 7 - day.weekday()) if day.weekday() > 4 else 0)
