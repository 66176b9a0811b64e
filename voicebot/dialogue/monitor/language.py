"""Whether a text is English at all. Pure; by letters and by the small words that every sentence has.

It need not say which language it is: all that follows is "I only speak English". It says so only when it is
plain; a name, a brand or one foreign word in an English sentence is none.
"""

# ruff: noqa: E501, SIM905  # lists of words, a language to a line
from __future__ import annotations

import re
import unicodedata

from voicebot.dialogue.monitor.features import MAX_CHARS

LATIN_SHARE = 0.5
"""With fewer of its letters Latin a text is not English."""
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")

_ENGLISH = frozenset(
    [
        "the",
        "and",
        "you",
        "your",
        "my",
        "is",
        "are",
        "was",
        "were",
        "it",
        "its",
        "i",
        "i'm",
        "im",
        "a",
        "an",
        "of",
        "to",
        "for",
        "on",
        "in",
        "with",
        "what",
        "when",
        "where",
        "who",
        "how",
        "why",
        "which",
        "do",
        "does",
        "did",
        "can",
        "could",
        "would",
        "will",
        "have",
        "has",
        "had",
        "not",
        "don't",
        "this",
        "that",
        "there",
        "they",
        "we",
        "he",
        "she",
        "please",
        "help",
        "want",
        "need",
        "order",
        "hello",
        "hi",
        "thanks",
        "thank",
        "from",
        "be",
        "about",
        "if",
        "get",
        "at",
        "by",
        "or",
        "but",
        "so",
        "me",
        "any",
        "some",
        "no",
        "yes",
        "open",
        "delivery",
        "return",
        "sofa",
        "store",
        "free",
        "time",
        "long",
        "much",
        "many",
        "day",
        "days",
        "back",
        "out",
        "up",
        "now",
        "am",
        "ok",
        "okay",
        "bed",
        "table",
        "lamp",
        "chair",
        "refund",
        "number",
        "phone",
    ]
)
"""Words that an English sentence can hardly do without, and those of a shop."""
_FOREIGN = frozenset(
    # Spanish, Portuguese, Italian, Romanian
    "el los las una unos unas del al qué que quién quien cuándo cuando dónde donde está esta están estoy cómo como "
    "cuánto cuanto cuesta quiero quisiera necesito puedo puede tengo tiene hola gracias buenos buenas días dias pedido "
    "devolver devolución mi mis su sus por para con sin pero muy también ayuda ayudar habla hablas español factura "
    "cerrado abierto abren tienda entrega sofá cama mesa silla favor señor hablo inglés entiendo no me te se "
    "onde está meu minha meus minhas encomenda quero preciso posso você vocês obrigado obrigada olá bom dia não nao "
    "uma umas do da dos das em fala português devolução loja entrega "
    "dove dov'è il mio mia miei ordine voglio vorrei posso può ho grazie ciao buongiorno non sono che chi quando "
    "capisco inglese consegna quanto costa perché un uno della dello degli nel restituire negozio parla italiano "
    "unde este comanda mea meu vreau pot cum când cât mulțumesc bună "
    # French
    "le les des du je j'ai tu il elle nous vous mon ma mes est sont où ou quand comment combien pourquoi commande "
    "veux voudrais peux bonjour merci pas ne qui quoi avec sans pour dans sur une c'est s'il plaît plait livraison "
    "magasin retourner rembourser français parlez comprends anglais beaucoup "
    # German, Dutch
    "der das den dem ein eine einen ich du wir ihr sie mein meine meinen ist sind war wo wann wie warum was wer "
    "bestellung möchte möchten kann können habe haben nicht und oder aber für mit ohne von zu bitte danke hallo guten "
    "tag wieviel kostet lieferung zurückgeben rückgabe geöffnet sprechen deutsch verstehe englisch hilfe auf heute morgen gibt es noch "
    "waar mijn bestelling hoe wat wanneer waarom ik wil kan heb niet het een van voor met zonder naar dank alstublieft "
    "goedendag bezorging spreekt nederlands "
    # Scandinavian, Finnish
    "hvor hvad hvordan hvornår når var när hur vad varför min mitt mine bestilling bestillingen beställning ordre är er "
    "och og jeg jag du vil vill kan ikke inte har tak tack hei hej missä milloin miten mitä tilaukseni tilaus on haluan "
    "kiitos pöntunin mín "
    # Slavic in Latin letters, Baltic, Hungarian, Turkish, Albanian
    "gdzie jest moje moja mój zamówienie kiedy jak ile chcę mogę dziękuję proszę dzień dobry nie czy kde je můj moje "
    "objednávka objednávku kdy kolik chci můžu děkuji prosím dobrý den gdje narudžba narudžbina moja kako kada želim "
    "hvala molim kje naročilo kdaj kur ir mans mana pasūtījums kad cik gribu paldies yra mano užsakymas kada kiek noriu "
    "ačiū kus mu tellimus millal kuidas tahan aitäh hol van rendelésem mikor hogyan mennyi szeretnék köszönöm nem "
    "nerede siparişim sipariş ne zaman nasıl kaç istiyorum teşekkürler merhaba değil ve için benim porosia ime ku është "
    # Vietnamese, Indonesian, Filipino, Swahili, Latin
    "đơn hàng của tôi ở đâu là khi nào bao nhiêu cảm ơn pesanan saya di mana kapan berapa bagaimana ingin terima kasih "
    "tidak apa yang nasaan ang ko ako po saan kailan magkano gusto salamat agizo langu liko wapi lini ninataka asante "
    "habari non mihi res est mea ubi quando".split()
)
_BOTH = _ENGLISH & _FOREIGN
_ALONE = frozenset(
    [
        "hola",
        "gracias",
        "ayuda",
        "buenos",
        "hablo",
        "entiendo",
        "quiero",
        "necesito",
        "devolver",
        "bonjour",
        "merci",
        "bonsoir",
        "aidez",
        "obrigado",
        "obrigada",
        "olá",
        "ciao",
        "grazie",
        "buongiorno",
        "capisco",
        "aiuto",
        "danke",
        "hallo",
        "hilfe",
        "guten",
        "bitte",
        "bestellung",
        "zurückgeben",
        "dank",
        "mulțumesc",
        "takk",
        "tack",
        "hej",
        "hei",
        "kiitos",
        "dziękuję",
        "děkuji",
        "prosím",
        "hvala",
        "merhaba",
        "teşekkürler",
        "pedido",
        "commande",
        "encomenda",
        "ordine",
    ]
)
"""Words that are enough alone, where nothing beside them is English."""
_YES = frozenset(
    [
        "sí",
        "si",
        "sim",
        "oui",
        "ja",
        "da",
        "tak",
        "ano",
        "hai",
        "evet",
        "igen",
        "kyllä",
        "joo",
        "jaa",
        "taip",
        "jah",
        "áno",
        "да",
        "так",
        "ναι",
        "כן",
        "نعم",
        "بله",
        "हाँ",
        "হ্যাঁ",
        "ใช่",
        "はい",
        "是",
        "好",
        "네",
        "예",
        "vâng",
        "có",
        "ya",
        "iya",
        "oo",
        "opo",
        "ndiyo",
        "bitte",
        "claro",
        "vale",
        "ok",
        "okay",
        "dale",
        "certo",
        "sicher",
        "gerne",
        "avec",
        "plaisir",
    ]
)

_NO = frozenset(
    [
        "nein",
        "non",
        "não",
        "nao",
        "nee",
        "nej",
        "nei",
        "ne",
        "nie",
        "nem",
        "niet",
        "nu",
        "hayır",
        "нет",
        "ні",
        "не",
        "όχι",
        "לא",
        "لا",
        "نه",
        "नहीं",
        "না",
        "ไม่",
        "いいえ",
        "不",
        "아니요",
        "không",
        "tidak",
        "hapana",
        "hindi",
        "nu",
        "nullement",
    ]
)
_LANGUAGES = (
    "spanish|french|german|italian|portuguese|dutch|swedish|norwegian|danish|finnish|polish|czech|hungarian|romanian|russian|"
    "ukrainian|turkish|greek|hebrew|arabic|persian|farsi|hindi|bengali|tamil|thai|vietnamese|indonesian|tagalog|filipino|"
    "chinese|mandarin|cantonese|japanese|korean|swahili"
)
_SPEAKS = re.compile(
    rf"\b(?:speak|talk|chat|write|understand)(?: to me)?(?: in)? (?:any )?(?:{_LANGUAGES}|other languages)\b"
)
_ONLY_NAMED = re.compile(rf"(?:please )?(?:in )?(?:{_LANGUAGES})(?: please)?")


def foreign(text: str) -> bool:
    """Whether the words are plainly another language than English.

    >>> foreign("wo ist meine bestellung"), foreign("do you have the Söderhamn sofa"), foreign("où est")
    (True, False, True)
    """
    text = text[:MAX_CHARS]
    letters = [char for char in text if char.isalpha()]
    if not letters:
        return False
    latin = sum(1 for char in letters if unicodedata.name(char, "").startswith("LATIN"))
    if latin < LATIN_SHARE * len(letters):
        return True
    words = [word.lower().replace("’", "'") for word in _WORD.findall(text)]
    theirs = sum(1 for word in words if word in _FOREIGN and word not in _BOTH)
    ours = sum(1 for word in words if word in _ENGLISH and word not in _BOTH)
    if any(not char.isascii() for word in words if word not in _FOREIGN for char in word):
        theirs += 1  # letters that English does not have
    if ours == 0 and any(word in _ALONE or (word in _FOREIGN and not word.isascii()) for word in words):
        return True
    return theirs >= 2 and theirs > ours


def unreadable(text: str) -> bool:
    """Whether there is neither a letter nor a figure: signs, pictures, nothing.

    >>> unreadable("😀😀"), unreadable("?"), unreadable("ok")
    (True, True, False)
    """
    return not any(char.isalnum() for char in text)


def yes_or_no_abroad(text: str) -> bool | None:
    """A yes or no in one of many languages, for who was just told that we only speak English.

    >>> yes_or_no_abroad("sí, por favor"), yes_or_no_abroad("nein danke"), yes_or_no_abroad("wo ist das")
    (True, False, None)
    """
    words = [word.lower() for word in _WORD.findall(text)]
    if not 0 < len(words) <= 3 or words[0] not in _YES | _NO:
        return None
    return words[0] in _YES


def asks_for_language(text: str) -> bool:
    """Whether another language is asked for, in English.

    >>> asks_for_language("do you speak Spanish?"), asks_for_language("is the manual in german")
    (True, False)
    """
    plain = " ".join(_WORD.findall(text.lower()))
    return bool(_SPEAKS.search(plain)) or bool(_ONLY_NAMED.fullmatch(plain))


def thumb(text: str) -> bool | None:
    """A yes or no in pictures: True, False, None for neither.

    >>> thumb("👍🏽"), thumb("👎"), thumb("😀")
    (True, False, None)
    """
    if not unreadable(text):
        return None
    yes, no = any(one in text for one in "👍👌✅✔🆗🙏"), any(one in text for one in "👎❌✖🚫🙅")
    return yes if yes != no else None
