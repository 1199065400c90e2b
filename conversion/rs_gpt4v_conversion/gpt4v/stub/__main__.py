"""`python -m rs_gpt4v_conversion.gpt4v.stub`: serve until interrupted; the base URL goes to stdout."""

import argparse
import sys
import threading
from collections.abc import Sequence

from rs_gpt4v_conversion.cli import give, say
from rs_gpt4v_conversion.errors import ConversionError, UsageError
from rs_gpt4v_conversion.gpt4v.stub.api import Settings
from rs_gpt4v_conversion.gpt4v.stub.faults import Fault, parse_faults
from rs_gpt4v_conversion.gpt4v.stub.server import StubServer

_NAME = "rs_gpt4v_conversion.gpt4v.stub"


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve and return the exit code: 2 for a user's mistake, 130 when interrupted."""
    parsed = _parser().parse_args(arguments)
    try:
        server = _server(parsed)
    except ConversionError as error:
        say(f"{_NAME}: {error}")
        return 2
    try:
        with server:
            give(server.url)
            threading.Event().wait()
    except KeyboardInterrupt:
        say(f"{_NAME}: interrupted")
    return 130


def _server(parsed: argparse.Namespace) -> StubServer:
    settings = Settings(
        seed=parsed.seed,
        latency=parsed.latency,
        faults=parse_faults(parsed.fault, parsed.seed, parsed.fault_attempts),
        batch_seconds=parsed.batch_seconds,
        requests_per_minute=parsed.rpm,
        tokens_per_minute=parsed.tpm,
        long=parsed.long,
        retry_after=parsed.retry_after,
        most_lines=parsed.most_lines,
        most_bytes=parsed.most_bytes,
    )
    try:
        return StubServer(settings, host=parsed.host, port=parsed.port, verbose=parsed.verbose)
    except (OSError, OverflowError) as error:
        raise UsageError(f"cannot listen at {parsed.host}, port {parsed.port}: {error}") from None


def _parser() -> argparse.ArgumentParser:
    plain = Settings()
    parser = argparse.ArgumentParser(
        prog=f"python -m {_NAME}",
        description="Serve OpenAI's endpoints for files, batches, chat completions and responses without a model, "
        "until interrupted. The base URL goes to stdout. Any API key is taken, and none is kept.",
        epilog=f"Faults: {', '.join(Fault)}.",
    )
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="where to listen (%(default)s)")
    add("--port", type=int, default=0, help="0 takes a free one (%(default)s)")
    add("--seed", type=int, default=plain.seed, help="of faults and of the order of answers (%(default)s)")
    add("--latency", type=seconds, default=plain.latency, metavar="S", help="seconds an answer takes (%(default)s)")
    add("--fault", action="append", default=[], metavar="NAME:SHARE", help="share of requests that meet it, 0 to 1")
    add("--fault-attempts", type=number, metavar="N", help="only the first N attempts of a request meet faults")
    add("--batch-seconds", type=seconds, default=plain.batch_seconds, metavar="S", help="a batch takes (%(default)s)")
    add("--rpm", type=number, metavar="N", help="requests per minute, 429 beyond")
    add("--tpm", type=number, metavar="N", help="tokens per minute, 429 beyond")
    add("--long", type=seconds, default=plain.long, metavar="S", help="seconds of the fault timeout (%(default)s)")
    add("--retry-after", type=seconds, default=plain.retry_after, metavar="S",
        help="seconds that rate_limit_after asks for (%(default)s)")  # fmt: skip
    add("--most-lines", type=number, default=plain.most_lines, metavar="N", help="requests of a batch (%(default)s)")
    add("--most-bytes", type=number, default=plain.most_bytes, metavar="N", help="bytes of a batch (%(default)s)")
    add("--verbose", action="store_true", help="a line on stderr for each call: method, path, status")
    return parser


def seconds(text: str) -> float:
    """A time on the command line; argparse names this function where it is none."""
    value = float(text)
    if not 0 <= value < 1e6:
        raise argparse.ArgumentTypeError(f"{text}: expected seconds, 0 or more")
    return value


def number(text: str) -> int:
    """A whole number of at least 1, likewise."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text}: expected a whole number of at least 1")
    return value


if __name__ == "__main__":
    sys.exit(main())
