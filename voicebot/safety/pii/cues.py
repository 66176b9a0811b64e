"""Words that say what a number is, and words that say it is nothing personal. Data."""

from __future__ import annotations

from voicebot.safety.pii.words import listed

CARD, PHONE, EMAIL, POST_CODE = "card", "phone number", "email", "post code"
ORDER, BIRTH, NAME, ADDRESS = "order number", "date of birth", "name", "address"
BANK, SOCIAL, CODE, NUMBER = "bank account", "social security number", "code", "number"
KINDS = (CARD, PHONE, EMAIL, POST_CODE, ORDER, BIRTH, NAME, ADDRESS, BANK, SOCIAL, CODE, NUMBER)

CUES: dict[str, tuple[str, int]] = {
    "card": (CARD, 3), "visa": (CARD, 3), "mastercard": (CARD, 3), "amex": (CARD, 3), "debit": (CARD, 3),
    "cvv": (CARD, 3), "cvc": (CARD, 3), "expiry": (CARD, 3), "expires": (CARD, 4),
    "phone": (PHONE, 4), "telephone": (PHONE, 4), "mobile": (PHONE, 4), "cell": (PHONE, 4),
    "cellphone": (PHONE, 4), "call": (PHONE, 7), "ring": (PHONE, 7), "reach": (PHONE, 7), "text": (PHONE, 7),
    "zip": (POST_CODE, 3), "post": (POST_CODE, 3), "postcode": (POST_CODE, 3), "postal": (POST_CODE, 3),
    "order": (ORDER, 4), "reference": (ORDER, 4), "invoice": (ORDER, 4), "tracking": (ORDER, 4),
    "customer": (ORDER, 4), "member": (ORDER, 4), "membership": (ORDER, 4), "confirmation": (ORDER, 4),
    "social": (SOCIAL, 4), "ssn": (SOCIAL, 4), "insurance": (SOCIAL, 6), "passport": (SOCIAL, 5),
    "licence": (SOCIAL, 5), "license": (SOCIAL, 5),
    "account": (BANK, 4), "iban": (BANK, 4), "routing": (BANK, 4), "sort": (BANK, 4), "bank": (BANK, 4),
    "pin": (CODE, 3), "passcode": (CODE, 3), "otp": (CODE, 3), "verification": (CODE, 3), "code": (CODE, 3),
    "password": (CODE, 3), "number": (NUMBER, 4), "id": (NUMBER, 4), "serial": (NUMBER, 5),
}  # fmt: skip
"""Word -> what a number near it is, and how many digits that takes at least."""

CUE_REACH = 8
"""Words between a cue and its number."""

BORN = frozenset({"born", "birthday", "birth", "birthdate", "dob"})

COUNTED = listed(
    "dollars dollar bucks pounds euros cents percent days day weeks week months month years year hours "
    "hour minutes minute seconds times people persons pieces piece chairs chair tables table items item "
    "boxes box inches inch feet foot centimeters centimetres cm meters metres miles kilometers degrees "
    "seats kilos kilograms grams lbs watts volts stars points o'clock am pm grand thousand sofas beds "
    "lamps shelves drawers doors steps floors stairs screws sets packs units rooms liters litres by"
)
"""What numbers count: behind one of these a number is an amount."""

AMOUNTS = listed(
    "cost costs costed price priced pay paid charged charge total refund refunded worth dollars amount "
    "owe owed spent discount budget balance fee quoted model size width height length depth weighs volt "
    "watt"
)
"""In front of a number, they make it an amount or a measure."""

STREETS = listed(
    "street st road rd avenue ave lane ln drive dr boulevard blvd court terrace crescent highway parkway "
    "close gardens way place square circle alley mews trail"
)
_PLAIN_STREETS = frozenset(
    {"way", "place", "square", "circle", "close", "drive", "court", "gardens", "trail"}
)
DOUBTFUL_STREETS = _PLAIN_STREETS
"""Words that more often mean something else: the name in front must be no common word."""
ROOMS = frozenset({"apartment", "apt", "flat", "unit", "suite"})

COMMON = listed(
    "a an the of in on at to for from with by and or but if so as is are was were be been am do does did "
    "has have had i you he she it we they me him her us them my your his its our their this that these "
    "those there here who what when where why how which not no yes yeah yep okay ok please thanks thank "
    "sorry hello hi hey well um uh er just about only still again also very really too now then than more "
    "less some any all both each one two three other another new old good bad late early right wrong left "
    "long short big small same next last first second third calling speaking regarding ringing asking "
    "getting going trying looking having ridiculous urgent important unacceptable outrageous terrible "
    "awful crazy weird strange funny silly odd correct true false fine great nice perfect ready done over "
    "under out up down back off into because regard regards concerning question problem issue order "
    "refund delivery complaint return sofa chair table bot robot machine person human real joke test "
    "mistake error fault thing way time day week month year can could will would should may might must "
    "shall let like want need know think see say tell give get minutes hours days doors blocks steps "
    "miles always never once twice today tomorrow yesterday morning customer wife husband son daughter "
    "mother father friend neighbor neighbour brother sister calls names difficult hard easy impossible "
    "taking makes making disgusting insane embarrassing frustrating annoying everything something nothing "
    "anything what's it's that's spelled spelt goes"
)
"""Words that are nobody's name where a name could stand."""
