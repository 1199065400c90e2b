"""What goes wrong at the stub: which requests meet which fault, by hash, so that a run can be repeated."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from rs_gpt4v_conversion.errors import UsageError


class Fault(StrEnum):
    """A way in which a vendor's server disappoints."""

    RATE_LIMIT = "rate_limit"  # 429 that does not say when to come again
    RATE_LIMIT_AFTER = "rate_limit_after"  # 429 with `retry-after` or `retry-after-ms`
    SERVER_ERROR = "server_error"  # 500 or 503
    TIMEOUT = "timeout"  # the answer comes after a long time
    SLOW = "slow"  # byte by byte
    CUT = "cut"  # the connection is closed in mid-body
    REFUSE = "refuse"  # the field `refusal`
    REFUSE_TEXT = "refuse_text"  # a sentence of regret as content
    CONTENT_FILTER = "content_filter"  # `finish_reason`
    CONTENT_FILTER_400 = "content_filter_400"  # status 400, as Azure has it
    TRUNCATED = "truncated"  # `finish_reason` length, JSON cut
    BAD_JSON = "bad_json"  # prose
    FENCED = "fenced"  # valid, in a code fence
    SCHEMA_ERROR = "schema_error"  # a field is missing
    INCONSISTENT = "inconsistent"  # well formed, with a number that the question does not bear out
    HTTP_ERROR = "http_error"  # status 400
    EXPIRED = "expired"  # lines of a batch that were not done in time; the batch expires
    DUPLICATE = "duplicate"  # lines of a batch that stand twice in its output
    FAILED = "failed"  # a whole batch, in validation


TRANSPORT = frozenset(
    {Fault.RATE_LIMIT, Fault.RATE_LIMIT_AFTER, Fault.SERVER_ERROR, Fault.TIMEOUT, Fault.SLOW, Fault.CUT}
)
"""Meet any call over HTTP."""

ANSWER = frozenset(
    {
        Fault.REFUSE, Fault.REFUSE_TEXT, Fault.CONTENT_FILTER, Fault.CONTENT_FILTER_400, Fault.TRUNCATED,
        Fault.BAD_JSON, Fault.FENCED, Fault.SCHEMA_ERROR, Fault.INCONSISTENT, Fault.HTTP_ERROR,
    }
)  # fmt: skip
"""Meet a model's answer, live or in a batch."""

LINE = ANSWER | {Fault.EXPIRED, Fault.DUPLICATE}
"""Meet a line of a batch."""

WHOLE_BATCH = frozenset({Fault.FAILED})
"""Meet a batch as a whole."""


@dataclass(frozen=True, slots=True)
class Faults:
    """Shares of faults.

    Attributes:
        shares: Of the requests that a fault can meet, 0 to 1 each.
        seed: Other seeds choose other requests.
        attempts: Only so many attempts of one request meet a fault; later ones succeed. None: any attempt may fail.

    Raises:
        UsageError: A share is outside 0 to 1, or they sum to more than 1.
    """

    shares: Mapping[Fault, float] = field(default_factory=dict)
    seed: int = 0
    attempts: int | None = None

    def __post_init__(self) -> None:
        for fault, share in self.shares.items():
            if not 0 <= share <= 1:
                raise UsageError(f"the share of the fault {fault} is {share:g}, expected 0 to 1")
        if (total := sum(self.shares.values())) > 1 + 1e-9:
            raise UsageError(f"the shares of all faults sum to {total:g}, expected at most 1")

    def drawn(self, among: frozenset[Fault], key: str, attempt: int) -> Fault | None:
        """The fault that one attempt of a request meets.

        Args:
            among: Those that can meet it.
            key: What the request is known by: its custom id or the digest of its body.
            attempt: From 1.
        """
        if self.attempts is not None and attempt > self.attempts:
            return None
        place = share_of(self.seed, key, attempt)
        for fault in Fault:
            if fault in among:
                place -= self.shares.get(fault, 0.0)
                if place < 0:
                    return fault
        return None


NO_FAULTS = Faults()


def parse_faults(texts: Iterable[str], seed: int, attempts: int | None = None) -> Faults:
    """Faults as the command line has them, `NAME:SHARE` each.

    Raises:
        UsageError: A text is of another form, names no fault or one twice, or see `Faults`.
    """
    shares: dict[Fault, float] = {}
    for text in texts:
        name, _, share = text.partition(":")
        try:
            fault, value = Fault(name), float(share)
        except ValueError:
            names = ", ".join(Fault)
            raise UsageError(f"--fault {text!r}: expected NAME:SHARE such as refuse:0.05; names: {names}") from None
        if fault in shares:
            raise UsageError(f"--fault {text!r}: {fault} is given twice")
        shares[fault] = value
    return Faults(shares, seed, attempts)


def share_of(*parts: object) -> float:
    """A number from 0 to below 1 by hash of the parts, spread evenly."""
    digest = hashlib.sha256("\0".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:7], "big") / 2**56
