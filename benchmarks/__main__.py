"""`python -m benchmarks [--quick] [section ...]`: measures Sluice on this machine and prints tables for README."""

import argparse
import contextlib
import os
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks import machine


def _request_times(*, quick: bool) -> str:
    from benchmarks import request_times

    return request_times.run(quick=quick)


def _dynamodb(*, quick: bool) -> str:
    from benchmarks import dynamodb_requests

    return dynamodb_requests.run(quick=quick)


def _starts(*, quick: bool) -> str:
    from benchmarks import starts

    return starts.run(quick=quick)


def _quota(*, quick: bool) -> str:
    from benchmarks import quota

    return quota.run(quick=quick)


# Imported when they run: what one section loads must not weigh on another.
SECTIONS: dict[str, tuple[str, Callable[..., str]]] = {
    "times": ("Requests", _request_times),
    "dynamodb": ("DynamoDB", _dynamodb),
    "starts": ("Cold start and size", _starts),
    "quota": ("Quotas", _quota),
}
# A window of a minute has to pass more than once.
_SLOW = {"quota"}


def main() -> None:
    """Run the sections that were asked for and print what they found."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("sections", nargs="*", metavar="section", help=f"some of {', '.join(SECTIONS)}; all, if none")
    parser.add_argument("--quick", action="store_true", help="few rounds: shows that it runs, and no more")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.sections if name not in SECTIONS]
    if unknown:
        parser.error(f"there is no section {unknown[0]!r}; there are {', '.join(SECTIONS)}")
    chosen = arguments.sections or [name for name in SECTIONS if not (arguments.quick and name in _SLOW)]
    sys.stdout.write(f"{machine.description()}\n")
    for name in chosen:
        title, run = SECTIONS[name]
        sys.stderr.write(f"measuring {name}\n")
        # Log lines and metrics of the gateway are written as in production, and read by nobody.
        with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
            found = run(quick=arguments.quick)
        sys.stdout.write(f"\n### {title}\n\n{found}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
