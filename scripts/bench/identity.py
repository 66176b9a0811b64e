"""How often the identity gate turns away who he is, and lets in who he is not, over simulated hearing.

    .venv/bin/python scripts/bench/identity.py [--callers 1000] [--attackers 1500]

Callers say their facts as people do; a recogniser is simulated that takes one digit for another that sounds
like it, loses words, writes names as they sound or as other names, and gives three readings. The gate is the
product's, with the policy's own factors and sets. Seeded: the same numbers each time.
"""

from __future__ import annotations

import argparse
import random
import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from spoiling import spoiled

from voicebot.core.conversation import Keys, Utterance
from voicebot.safety.identity import (
    Ask,
    AskHow,
    Check,
    CheckCode,
    Factor,
    FactorKind,
    FactorSet,
    Gate,
    GateProgress,
    GateRules,
    IdentityRecord,
    Passed,
    Refused,
    SendCode,
)
from voicebot.safety.identity.facts import read_fact, same_fact
from voicebot.safety.policy.reading import read_policy

ROOT = Path(__file__).resolve().parent.parent.parent
SEED = 6


def listed(words: str) -> list[str]:
    """A list of words out of a line of them."""
    return words.split()


DIGITS = ("oh", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
LIKE = {
    0: (4, 8),
    1: (9, 7),
    2: (3, 8),
    3: (8, 2),
    4: (5, 0),
    5: (9, 4),
    6: (8, 7),
    7: (1, 6),
    8: (3, 6),
    9: (5, 1),
}
WRONG, LOST = 0.03, 0.01
"""Of one digit in one reading: taken for one like it, or not written at all."""
RESPELLED, SLIPPED, OTHER = 0.35, 0.10, 0.04
"""Of one name in one reading: written as it sounds, one letter off, another name altogether."""
FIRST = listed(
    "Ana Ben Carla Dan Eve Frank Grace Hugo Iris Jack Kate Leo Mia Noah Olga Paul Rosa Sam Tess Will "
    "Don Lea Ian Jon Mary James John Linda Robert Susan Karen Lisa Nancy Betty Helen Sandra Donna "
    "Carol Ruth Sharon Laura Sarah Kim Anna Emma Emily Alice Julia Diane Steven Stephen Kevin Brian "
    "Edward Ronald Timothy Jason Jeffrey Ryan Jacob Gary Eric Larry Justin Scott Brandon Raymond "
    "Gregory Joshua Jerry Dennis Walter Peter Harold Douglas Henry Carl Arthur"
)
LAST = listed(
    "Adams Baker Clark Diaz Evans Flores Green Hill Irwin Jones King Lopez Moore Nolan Ortiz Price "
    "Reed Stone Smith Johnson Williams Brown Miller Davis Garcia Rodriguez Wilson Martinez Anderson "
    "Taylor Thomas Hernandez Martin Jackson Thompson White Gonzalez Harris Robinson Lewis Walker "
    "Young Allen Wright Scott Torres Nguyen Nelson Carter Mitchell Perez Roberts Turner Phillips "
    "Campbell Parker Edwards Collins Stewart Sanchez Morris Rogers Cook Morgan Bell Murphy Bailey "
    "Rivera Cooper Richardson Cox Howard Ward Peterson Gray Ramirez Watson Brooks Kelly Sanders"
)
RESPELLINGS = (
    ("ph", "f"), ("v", "ph"), ("ck", "k"), ("c", "k"), ("k", "ck"), ("ee", "ea"), ("ll", "l"),
    ("l", "ll"), ("y", "i"), ("s", "z"), ("z", "s"), ("tt", "t"), ("nn", "n"), ("n", "nn"),
    ("oo", "o"), ("ey", "y"), ("ai", "ay"), ("en", "an"),
)  # fmt: skip
MONTHS = listed("january february march april may june july august september october november december")
DAYS = listed(
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth "
    "fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth twentieth"
)


@dataclass(frozen=True)
class Person:
    """Who calls, and what the shop holds of him."""

    order: str
    post_code: str
    name: str
    birth_date: str
    card: str

    def value(self, factor: Factor) -> str:
        """What he would say for a factor."""
        return {
            "order_number": self.order,
            "post_code": self.post_code,
            "name": self.name,
            "birth_date": self.birth_date,
            "card_digits": self.card,
        }[factor.name]

    @property
    def record(self) -> IdentityRecord:
        """As the system of record has it."""
        return IdentityRecord(
            customer_id=f"cu_{self.order}",
            values={
                "post_code": self.post_code,
                "name": self.name,
                "birth_date": self.birth_date,
                "card_digits": self.card,
            },
            number="+12025550100",
        )


def person(dice: random.Random) -> Person:
    """Somebody."""
    return Person(
        order=f"{dice.randrange(100000, 1000000)}",
        post_code=f"{dice.randrange(100000):05d}",
        name=f"{dice.choice(FIRST)} {dice.choice(LAST)}",
        birth_date=f"{dice.randrange(1940, 2006)}-{dice.randrange(1, 13):02d}-{dice.randrange(1, 29):02d}",
        card=f"{dice.randrange(10000):04d}",
    )


def in_words(factor: Factor, value: str) -> str:
    """A fact as it is said."""
    match factor.kind:
        case FactorKind.NAME:
            return f"my name is {value}"
        case FactorKind.DATE:
            year, month, day = value.split("-")
            return f"{MONTHS[int(month) - 1]} {_day(int(day))} {_year(int(year))}"
        case _:
            return " ".join(DIGITS[int(digit)] for digit in value)


def _day(day: int) -> str:
    if day <= 20:
        return DAYS[day - 1]
    return f"twenty {DAYS[day - 21]}"


def _year(year: int) -> str:
    tens = listed("oh ten twenty thirty forty fifty sixty seventy eighty ninety")
    century, rest = divmod(year, 100)
    if century == 20:
        return "two thousand" + (f" and {DIGITS[rest]}" if rest else "")
    return f"nineteen {tens[rest // 10]}" + (f" {DIGITS[rest % 10]}" if rest % 10 else "")


def reading(words: str, kind: FactorKind, dice: random.Random) -> str:
    """What the recogniser writes: one reading."""
    if kind is FactorKind.NAME:
        first, last = words.split()[-2:]
        return f"my name is {_misspelt(first, FIRST, dice)} {_misspelt(last, LAST, dice)}"
    out: list[str] = []
    for word in words.split():
        if word in DIGITS and dice.random() < WRONG:
            word = DIGITS[dice.choice(LIKE[DIGITS.index(word)])]
        if dice.random() >= LOST:
            out.append(word)
    text = " ".join(out)
    return text if kind is not FactorKind.DATE or dice.random() > 0.05 else spoiled(text, dice)


def _misspelt(name: str, others: list[str], dice: random.Random) -> str:
    if dice.random() < OTHER:
        return dice.choice(others)
    written = name.lower()
    if dice.random() < RESPELLED:
        fit = [(old, new) for old, new in RESPELLINGS if old in written]
        if fit:
            old, new = dice.choice(fit)
            written = written.replace(old, new, 1)
    if dice.random() < SLIPPED:
        at = dice.randrange(len(written))
        letter = dice.choice("abcdefghijklmnopqrstuvwxyz")
        written = written[:at] + dice.choice([letter, ""]) + written[at + 1 :]
    return written or name


def heard(factor: Factor, value: str, dice: random.Random) -> Utterance:
    """Three readings of an answer, the likeliest first."""
    words = in_words(factor, value)
    return Utterance(
        text=reading(words, factor.kind, dice),
        alternatives=(reading(words, factor.kind, dice), reading(words, factor.kind, dice)),
    )


def keys(factor: Factor, value: str) -> Keys | None:
    """An answer by keypad; None: it cannot be keyed."""
    if factor.kind is FactorKind.NAME:
        return None
    if factor.kind is FactorKind.DATE:
        year, month, day = value.split("-")
        return Keys(digits=f"{month}{day}{year}#")
    return Keys(digits=f"{value}#")


@dataclass
class Call:
    """One caller at the gate, until he passes or not."""

    gate: Gate
    records: dict[str, IdentityRecord]
    level: int
    dice: random.Random
    keyed: bool
    code: str = "493817"

    def run(self, says: Person, told: str, declined: tuple[str, ...] = ()) -> tuple[bool, int]:
        """Whether he passes, and the tries that failed. ``told``: what he says is the code."""
        progress = GateProgress()
        for name in declined:
            progress = self.gate.decline(progress, name)
        for _ in range(40):
            step = self.gate.next(progress, self.level)
            match step:
                case Passed():
                    return True, progress.tries
                case Refused():
                    return False, progress.tries
                case SendCode():
                    progress = self.gate.sent(progress)
                case Ask():
                    value = told if step.factor.kind is FactorKind.CODE else says.value(step.factor)
                    progress = self.gate.hear(
                        progress, self._answer(step, value), asked=step.factor.name, level=self.level
                    )
                case Check():
                    found = [(one, self.records[one]) for one in step.references if one in self.records]
                    progress = self.gate.check(progress, found, self.level)
                case CheckCode():
                    progress = self.gate.code_checked(progress, right=self.code in step.candidates)
        return False, progress.tries

    def _answer(self, step: Ask, value: str) -> Utterance | Keys:
        factor = step.factor
        by_keys = keys(factor, value) if self.keyed or step.how is AskHow.KEYPAD else None
        if by_keys is not None:
            return by_keys
        if factor.kind is FactorKind.NAME and step.how is AskHow.KEYPAD:  # asked to spell it
            spelt = " , ".join(" ".join(part.lower()) for part in value.split())
            return Utterance(text=f"{value} , {spelt}")
        return heard(factor, value, self.dice)


def near(true: Person, dice: random.Random, knows: tuple[str, ...]) -> Person:
    """Somebody else who knows some facts about a customer; the rest he makes up."""
    other = person(dice)
    values = {
        name: getattr(true if name in knows else other, name) for name in ("order", "post_code", "card")
    }
    first, last = other.name.split()
    if "name" in knows:
        first, last = true.name.split()
    elif "last_name" in knows:
        last = true.name.split()[1]
        if first == true.name.split()[0]:
            first = "Wilhelmina"
    born = true.birth_date if "birth_date" in knows else other.birth_date
    return Person(name=f"{first} {last}", birth_date=born, **values)


ATTACKERS = {
    "has the order number": ("order",),
    "lives there, too": ("order", "post_code", "last_name"),
    "has the parcel's label": ("order", "post_code", "name"),
}


def main() -> None:
    """Prints one table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--callers", type=int, default=1000)
    options.add_argument("--attackers", type=int, default=1500)
    chosen = options.parse_args()
    rules: GateRules = read_policy(ROOT / "business" / "policy.yaml").identity
    dice = random.Random(SEED)
    columns = ("set", "by", "first try", "turned away", *ATTACKERS)
    print("| " + " | ".join(columns) + " |")
    print("|" + "---|" * len(columns))
    for one in rules.in_order:
        alone = rules.model_copy(update={"sets": tuple(s for s in rules.in_order if _serves(s, one))})
        gate = Gate(alone)
        for keyed in (False, True):
            firsts = away = 0
            for _ in range(chosen.callers):
                true = person(dice)
                call = Call(gate, {true.order: true.record}, one.level, dice, keyed)
                passed, tries = call.run(true, call.code)
                firsts += passed and tries == 0
                away += not passed
            cells: list[str] = []
            for knows in ATTACKERS.values():
                let_in = 0
                for _ in range(chosen.attackers):
                    true = person(dice)
                    call = Call(gate, {true.order: true.record}, one.level, dice, keyed)
                    let_in += call.run(near(true, dice, knows), f"{dice.randrange(10**6):06d}")[0]
                cells.append(_rate(let_in, chosen.attackers))
            print(
                f"| {', '.join(one.factors)} | {'keys' if keyed else 'voice'} "
                f"| {100 * firsts / chosen.callers:.1f} % | {_rate(away, chosen.callers)} | "
                + " | ".join(cells)
                + " |",
                flush=True,
            )
    names(dice, chosen.callers)


def names(dice: random.Random, pairs: int) -> None:
    """How alike two names must be, by itself: one answer, three readings."""
    factor = Factor(name="name", kind=FactorKind.NAME)
    counts = {"his own": 0, "another first name": 0, "another name": 0}
    for _ in range(pairs):
        first, other = dice.sample(FIRST, 2)
        last, strange = dice.sample(LAST, 2)
        for what, said in (("his own", (first, last)), ("another first name", (other, last)),
                           ("another name", (other, strange))):  # fmt: skip
            given = heard(factor, " ".join(said), dice)
            readings = read_fact(factor, given.text, given.alternatives, order="mdy", limit=3)
            counts[what] += same_fact(factor, readings, f"{first} {last}")
    print("\nA name alone, one answer of three readings, taken for the one that is held:")
    for what, count in counts.items():
        print(f"  {what}: {_rate(count, pairs)}")


def _serves(other: FactorSet, one: FactorSet) -> bool:
    """The set itself, and for a code the set that must be passed before."""
    return other.name == one.name or ("code" in one.factors and set(other.factors) < set(one.factors))


def _rate(count: int, of: int) -> str:
    """In percent, with what none of so many leaves open (rule of three, 95 %)."""
    return f"{100 * count / of:.2f} %" if count else f"0 (< {300 / of:.2f} %)"


if __name__ == "__main__":
    main()
