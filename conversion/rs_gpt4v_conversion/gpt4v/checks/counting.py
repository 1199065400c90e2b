"""Numbers that texts say of a concept, and what they claim about the whole image.

`There are three ships.` says how many there are. `Three ships lie at the dock` or `two red cars` says only that there
are at least so many: a part of the image or of the ships is meant. Where the words around a number leave it open which
of the two it is, it is the second.

A number counts where it stands before the noun, with up to three modifiers between. Units (`a 20 metre ship`, `a four
lane bridge`), names (`terminal 2`), ordinals and shares (`one of the ships`) are no counts.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

from rs_gpt4v_conversion.gpt4v.checks.lexicon import Lexicon
from rs_gpt4v_conversion.gpt4v.checks.mentions import Mention, is_plain
from rs_gpt4v_conversion.gpt4v.checks.text import (
    NUMBER_WORDS,
    Piece,
    is_number,
    is_word,
    number_before,
    sentence,
    word_set,
)

Bound = Literal["exact", "least"]


class Claim(NamedTuple):
    """A number said of a concept."""

    concept: str
    number: int | None  # None: a range or another form that is not held against anything
    bound: Bound  # whether there are so many, or at least so many
    rough: bool  # `about ten`, `several`
    piece: Piece
    start: int  # of the tokens that say it
    end: int

    @property
    def words(self) -> str:
        """The claim as it is written."""
        return self.piece.quote(self.start, self.end)


_VAGUE = word_set("several many some multiple numerous various few dozens")
_VAGUE_OF = word_set("dozens hundreds scores number lots plenty couple variety handful")
_ROUGH = word_set("about around approximately roughly nearly almost circa")
_NEUTRAL = word_set("visible individual distinct separate total annotated")
"""Modifiers that name no part of a set."""

_NO_MODIFIERS = word_set(
    "a an the this that these those of in on at by to from with and or but is are was were be been has "
    "have had there it its their his her they which who where while as than then for near into over under "
    "between along across behind beside above below around through not no more most less fewer least "
    "others another each every all both kilometers kilometres kilometer kilometre km meters metres meter "
    "metre m ft feet foot mile miles lane lanes way story storey stories storeys floor percent degree "
    "degrees hour hours minute minutes year years day days o'clock rows groups pairs clusters lines sides "
    "types kinds sets quarter half times square pixel pixels hectares acres"
)
"""Words between a number and a noun that part them: the number does not count the noun."""

_LABELS = word_set(
    "terminal pier gate runway route highway road number no object boeing airbus zone bay dock berth "
    "figure turn per first last next every each"
)
"""Before a number that counts nothing: it is a name or a rate."""

_COUNTING = NUMBER_WORDS | _VAGUE | {"single", "of", "no"}

_EXISTS = word_set(
    "are is were was exactly only just of shows show contains contain features includes depicts has "
    "displays see count counted have"
)
_PICTURE = word_set("image scene picture photo photograph view frame")
_LEADING = (
    _EXISTS | _PICTURE | _ROUGH
    | word_set("the this in within from aerial satellite overall altogether total a there yes i we you one can be")
    | frozenset(("currently", "also", "and", "it", "remote", "sensing", "infrared", "radar", ",", ":"))
)  # fmt: skip
"""Before a number that counts what the whole image has, in its sentence: nothing but these."""

_TRAILING = _PICTURE | word_set(
    "visible present shown seen depicted pictured here in total overall altogether the this within are is can be "
    "clearly of them"
)
"""After the noun of such a number, up to the next comma or `and`: nothing but these."""

_PARTS = word_set("left right top bottom upper lower center centre corner corners edge middle foreground background")
_MORE = frozenset(("another", "additional", "more", "other", "others", "further", "plus"))
_ASKING = _TRAILING | word_set("there do you see does contain show have we did could were")
"""After the noun of a question that asks how many there are in the whole image: nothing but these."""

_MODIFIERS = 3
_DIGITS = frozenset("0123456789")


def find_claims(mentions: Sequence[Mention], digits: bool) -> list[Claim]:
    """All numbers that plain statements say of a concept, and `no`, in the order of the texts.

    Args:
        mentions: Of the concepts.
        digits: Whether the texts have any.
    """
    found: list[Claim] = []
    for mention in mentions:
        piece, start = mention.piece, mention.start
        if piece.kind != "statement" or piece.imagined or start == 0:
            continue
        if digits or not _COUNTING.isdisjoint(piece.tokens[max(start - _MODIFIERS - 1, 0) : start]):
            claim = _claim(mention, found[-1] if found else None)
            if claim is not None:
                found.append(claim)
    return found


def _claim(mention: Mention, before: Claim | None) -> Claim | None:
    piece, words = mention.piece, mention.piece.tokens
    at, modified = _modifiers(words, mention.start)
    said = words[at - 1] if at > 0 else "."
    if said not in _COUNTING and not said[0].isdecimal():
        return None
    if said == "no":
        return _none(mention, at - 1, modified)
    amount = _amount(words, at, mention) if mention.plain else None
    if amount is None:
        return None
    number, start, rough = amount
    begin, end = mention.begin, mention.finish
    previous = words[start - 1] if start > begin else ""
    if previous in _LABELS:
        return None
    if previous in ("most", "to", "for") or (previous == "than" and words[start - 2] != "more"):
        number = None  # at most so many, or room for so many
    exact = (
        not modified and piece.whole and (words[start] == "pair" or (said != "of" and said not in _VAGUE))
        and _opens_whole(words, begin, start, before, piece) and _closes_whole(words, mention.end, end)
        and "another" not in words and not _follows_part(words, begin)
    )  # fmt: skip
    return Claim(
        mention.concept, number, "exact" if exact else "least", rough or previous in _ROUGH, piece, start, mention.end
    )


def _modifiers(words: Sequence[str], start: int) -> tuple[int, bool]:
    """Where the modifiers before a noun begin, and whether one of them names a part of a set."""
    at, modified = start, False
    while at > 0 and start - at < _MODIFIERS:
        word = words[at - 1]
        if (
            not is_word(word)
            or word in _NO_MODIFIERS
            or word in _VAGUE
            or word in ("single", "couple")
            or is_number(word)
        ):
            break
        modified = modified or word not in _NEUTRAL
        at -= 1
    return at, modified


def _amount(words: Sequence[str], at: int, mention: Mention) -> tuple[int | None, int, bool] | None:
    """The number before token `at`, where it begins, and whether it is a rough one."""
    said = words[at - 1] if at > 0 else "."
    if said == "single" and mention.one:
        return 1, at - 1, False
    if said in _VAGUE and mention.many:
        return 2, at - 1, True
    if said == "of" and at > 1 and mention.many:
        if words[at - 2] in _VAGUE_OF:
            return 2, at - 2, True
        if words[at - 2] == "pair":
            return 2, at - 2, False
    found = number_before(words, at)
    if found is None or (found[0] == 1 and not mention.one) or (found[0] != 1 and not mention.many):
        return None
    return found[0], found[1], "dozen" in words[found[1] : at]


def _none(mention: Mention, start: int, modified: bool) -> Claim | None:
    """`no ships`, where the sentence says no more: `no ships at the dock` or `no other ships` leaves some elsewhere."""
    words, piece = mention.piece.tokens, mention.piece
    end = mention.finish
    if end < len(words) and "?" in words[end]:
        return None
    whole = piece.whole and not modified and _closes_whole(words, mention.end, end)
    lead = words[mention.begin : start]
    if whole and _LEADING.union(("no",)).issuperset(lead):
        return Claim(mention.concept, 0, "exact", False, piece, start, mention.end)
    return Claim(mention.concept, None, "least", False, piece, start, mention.end)


def _opens_whole(words: Sequence[str], begin: int, start: int, before: Claim | None, piece: Piece) -> bool:
    """Whether what stands before a number in its sentence speaks of the whole image."""
    lead = words[begin:start]
    if not lead or (
        _LEADING.issuperset(lead) and (lead[-1] in _EXISTS or lead[-1] in _ROUGH or lead[-1] in (":", ","))
    ):
        return not (lead and lead[-1] == "of") or "total" in lead
    if before is None or before.piece is not piece or before.bound != "exact" or before.end <= begin:
        return False
    return {",", "and", "as", "well", "a", "an"}.issuperset(words[before.end : start])


def _closes_whole(words: Sequence[str], start: int, end: int) -> bool:
    """Whether what stands after a noun in its sentence leaves the whole image meant."""
    rest = words[start:end]
    for word in rest:
        if word == "and" or not is_word(word):
            break
        if word not in _TRAILING:
            return False
    return _MORE.isdisjoint(rest)


def _follows_part(words: Sequence[str], begin: int) -> bool:
    """Whether the sentence before names a part of the image: then the next may still speak of it."""
    if begin == 0:
        return False
    return not _PARTS.isdisjoint(words[sentence(words, max(begin - 2, 0))[0] : begin])


_PLACES = _PARTS | word_set(
    "near at on along beside around next between inside outside under above below behind across close closest adjacent "
    "nearby side area part docked moored parked"
)
"""In a question: its answer speaks of a part of the image, or of some of the things in it."""


def turns_of_parts(questions: Sequence[Piece], asked: Mapping[int, Mention]) -> frozenset[int]:
    """The turns that ask about a part of the image; `asked` are those that ask how many the whole image has."""
    return frozenset([p.turn for p in questions if p.turn not in asked and _asks_of_part(p.tokens)])


def narrowed(claims: Sequence[Claim], parts: frozenset[int]) -> list[Claim]:
    """The claims, those weakened that are made in turns about a part of the image."""
    return [
        c._replace(bound="least", number=c.number or None) if c.piece.turn in parts and c.bound == "exact" else c
        for c in claims
    ]


def _asks_of_part(words: Sequence[str]) -> bool:
    if "many" in words:
        after = words[words.index("many") + 2 :]  # the noun is one word: what of it is meant could be said before it
        return not _ASKING.issuperset(word for word in after if is_word(word))
    if not _PLACES.isdisjoint(words):
        return True
    return "in" in words and _PICTURE.isdisjoint(words)


def other_things(pieces: Sequence[Piece], lexicon: Lexicon, digits: bool) -> list[Mention]:
    """Plural nouns straight after a number that are no word of the lexicon, as mentions of concepts of their own.

    Args:
        pieces: The texts.
        lexicon: Of the texts.
        digits: Whether the texts have any.
    """
    found = []
    for piece in pieces:
        words = piece.tokens
        if piece.kind != "statement":
            continue
        numbers = [i for i, w in enumerate(words, 1) if w in NUMBER_WORDS or (digits and w[0] in _DIGITS)]
        for i in numbers:
            if i < len(words) and _is_plural(words[i]) and words[i] not in lexicon.first:
                begin, end = sentence(words, i)
                plain = is_plain(words, begin, end)
                found.append(Mention(piece, i, i + 1, words[i], False, True, begin, end, plain))
    return found


def _is_plural(word: str) -> bool:
    return len(word) > 3 and word.endswith("s") and word.isalpha() and word not in _NO_MODIFIERS


def asked_counts(mentions: Sequence[Mention]) -> dict[int, Mention]:
    """What questions ask the number of in the whole image, by turns."""
    return {m.piece.turn: m for m in mentions if m.piece.kind == "question" and _asks_how_many(m)}


def answered_counts(pieces: Sequence[Piece], asked: Mapping[int, Mention], claims: Sequence[Claim]) -> list[Claim]:
    """The claims, those made exact that answer `how many` about the whole image, and bare numbers in answers to it."""
    found = list(claims)
    for piece in pieces:
        if piece.kind == "statement" and piece.turn in asked and not piece.imagined:
            _answer(found, piece, asked[piece.turn].concept)
    return found


def _answer(claims: list[Claim], piece: Piece, concept: str) -> None:
    """Change or add the claim that a piece makes by answering a question."""
    words = piece.tokens
    numbers = list(_numbers(words))
    places = [i for i, c in enumerate(claims) if c.piece is piece and c.concept == concept]
    if len(numbers) != 1:
        return
    value, start, end = numbers[0]
    if len(places) == 1 and claims[places[0]].number == value:
        claim = claims[places[0]]
        if _modifiers(words, claim.end - 1)[1] is False and _MORE.isdisjoint(words):
            claims[places[0]] = claim._replace(bound="exact")
    elif not places and value is not None and (_LEADING | _TRAILING).issuperset(
        w for w in (*words[:start], *words[end:]) if is_word(w)
    ):  # fmt: skip
        claims.append(Claim(concept, value, "exact", False, piece, start, end))


def _numbers(words: Sequence[str]) -> Iterator[tuple[int | None, int, int]]:
    """All numbers of a text, each with its first token and the one after its last."""
    end = len(words)
    while end > 0:
        found = number_before(words, end) if is_number(words[end - 1]) else None
        if found is not None:
            yield found[0], found[1], end
        end = found[1] if found is not None else end - 1


def _asks_how_many(mention: Mention) -> bool:
    """Whether a question asks how many there are in the whole image."""
    words, start = mention.piece.tokens, mention.start
    if start < 2 or words[start - 1] != "many" or words[start - 2] != "how":
        return False
    return _ASKING.issuperset(w for w in words[mention.end : mention.finish] if is_word(w))
