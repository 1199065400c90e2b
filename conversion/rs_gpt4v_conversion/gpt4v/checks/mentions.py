"""Where texts speak of the lexicon's concepts, and whether they say that one is there.

Only a plain statement says so. Sentences with a negation, a doubt, a condition or a habit (`no ships`, `if a ship
were`, `ships usually`) say nothing of what is in the image, nor does a purpose (`for vehicles`, `used by aircraft`), a
comparison (`like a ship`) or a noun that only describes the next one (`airport terminal`).
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from rs_gpt4v_conversion.gpt4v.checks.lexicon import Lexicon, Phrase, Phrases
from rs_gpt4v_conversion.gpt4v.checks.text import ENDS, Piece, is_number, is_word, word_set

NEGATIONS = word_set(
    "no not without absence absent lack lacks lacking neither nor never none nothing free devoid zero "
    "cannot isn't aren't wasn't doesn't don't can't couldn't isn’t aren’t doesn’t don’t can’t unlike "
    "instead except nobody hardly"
)
DOUBTS = word_set(
    "if were would could might may should must will perhaps possibly possible probably likely unlikely "
    "potentially potential maybe appears appear seem seems seemingly suggest suggests suggesting indicate "
    "indicates indicating imply implies hypothetical hypothetically suppose imagine assuming unless "
    "whether usually typically often commonly generally normally future planned proposed expected"
)
PURPOSES = word_set(
    "for allow allows allowing enable enables enabling permit permits accommodate accommodates "
    "accommodating serve serves serving support supports supporting facilitate facilitates designed "
    "intended used like resembles resembling than need needs require requires handle handles handling "
    "receive receives"
)
"""Before a mention, at most `_REACH` tokens away."""

_NOT_PLAIN = NEGATIONS | DOUBTS
_REACH = 5
_FOLLOWERS = word_set(
    "terminal terminals building buildings apron runway runways traffic access lane lanes track tracks "
    "movement movements parking park deck pier piers basin yard yards hangar hangars owner owners stop "
    "size sized length width lengths widths area facility facilities complex grounds operation operations "
    "tower towers entrance gate gates maintenance repair license plate plates roof roofs wake wakes crew "
    "door doors window windows bay bays stand stands seating hub zone route routes infrastructure wing "
    "wings"
)
"""Nouns that a singular before them only describes."""

_VERBAL = word_set("to that which who can will they we")
_OBJECTS = word_set("the a an its this these several many some")
_VERBS = frozenset(
    (word,)
    for word in word_set("bridge bridges ship ships harbor harbors harbour harbours dam dams jet jets ferry ferries")
)
"""These are verbs after a word of the first, and before one of the second: `the pier bridges the gap`."""

_BRIDGE = ("bridge",)
_SHIPS_PARTS = word_set("deck decks hull bow stern mast superstructure funnel cabin ship ship's vessel")
"""In one sentence with `bridge`: it may be the ship's."""

_DETERMINERS = word_set(
    "a an the this that these those each every another several many some few multiple numerous various "
    "both all its single one visible other two three"
)
_INTRODUCING = word_set(
    "with are is see shows show showing contains contain features include includes including has have"
)
_MODIFIERS = 3


class Mention(NamedTuple):
    """Words of a text that mean a concept."""

    piece: Piece
    start: int  # of its tokens
    end: int
    concept: str
    one: bool  # they may be a singular
    many: bool
    begin: int  # of its sentence
    finish: int  # of its sentence: the mark there, or the end of the text
    plain: bool  # whether the sentence states something: no question, no negation, no doubt


_SPEAKING = frozenset(("statement", "question"))


def find_mentions(pieces: Sequence[Piece], lexicon: Lexicon) -> list[Mention]:
    """All mentions in statements and questions, whatever is said of them, in the order of the texts."""
    first, stops = lexicon.first, lexicon.stops
    found: list[Mention] = []
    for piece in pieces:
        if piece.kind in _SPEAKING:
            stopped = [i for i, word in enumerate(piece.tokens) if word in stops]
            _add_mentions(found, piece, stopped, first)
    return found


def _add_mentions(found: list[Mention], piece: Piece, stopped: Sequence[int], first: Mapping[str, Phrases]) -> None:
    """Add those of a text; `stopped` are the places of words that begin a phrase, and of ends of sentences."""
    words = piece.tokens
    past, begin, finish, plain = 0, 0, -1, False
    for k, i in enumerate(stopped):
        word = words[i]
        phrase = first[word].at(words, i) if i >= past and word in first else None
        if phrase is not None:
            past = i + len(phrase.words)
            if phrase.concept and not _describes(words, i, past, phrase):
                if i >= finish:
                    finish = next((j for j in stopped[k:] if words[j] in ENDS), len(words))
                    plain = is_plain(words, begin, finish)
                if phrase.words != _BRIDGE or _SHIPS_PARTS.isdisjoint(words[begin:finish]):
                    found.append(Mention(piece, i, past, phrase.concept, phrase.one, phrase.many, begin, finish, plain))
        if word in ENDS:
            begin = i + 1


def _describes(words: Sequence[str], start: int, end: int, phrase: Phrase) -> bool:
    """Whether a phrase only describes another word, or is a verb."""
    after = words[end] if end < len(words) else "."
    before = words[start - 1] if start else "."
    if before == "-" or after == "-" or (after in _FOLLOWERS and phrase.one):
        return True
    return (before in _VERBAL or after in _OBJECTS) and phrase.words in _VERBS


def asserted(mention: Mention) -> bool:
    """Whether a text says plainly that what is mentioned is there."""
    piece, start = mention.piece, mention.start
    if not mention.plain or piece.kind != "statement" or piece.imagined:
        return False
    if not PURPOSES.isdisjoint(piece.tokens[max(mention.begin, start - _REACH) : start]):
        return False
    return _is_introduced(piece.tokens, mention.begin, mention)


def is_plain(words: Sequence[str], begin: int, end: int) -> bool:
    """Whether a sentence states something: no question, no negation, no doubt."""
    if end < len(words) and "?" in words[end]:
        return False
    return _NOT_PLAIN.isdisjoint(words[begin:end])


def _is_introduced(words: Sequence[str], begin: int, mention: Mention) -> bool:
    """Whether a determiner or a number stands before the noun and its modifiers, or it begins or is shown as it is."""
    at = mention.start
    if at == begin or words[at - 1] in _INTRODUCING:
        return mention.many or at == begin
    for word in reversed(words[max(begin, at - 1 - _MODIFIERS) : at]):
        if word in _DETERMINERS or is_number(word):
            return True
        if not is_word(word):
            return False
    return False
