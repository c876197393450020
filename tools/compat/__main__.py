"""`make compat`: runs outside clients and test suites against Sluice and records what came of it.

`python -m tools.compat [client ...]` runs those that are named, or all. It installs each client into .tools/compat,
starts the local stack with a scripted provider behind it, runs one after the other, notes each in outcomes.json, and
in the end writes the tables of docs/clients.md.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tools import docs
from tools.compat.clients import Client, clients
from tools.compat.environments import EnvironmentMissingError, environment
from tools.compat.exclusions import unused
from tools.compat.outcomes import Outcome, record
from tools.compat.quickstart import run_quickstart
from tools.compat.server import CompatServer, compat_server
from tools.compat.suite import run_suite


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is asked for; exit with 1 if anything fails."""
    options = _options(arguments)
    chosen = [client for client in clients() if not options.clients or client.name in options.clients]
    with tempfile.TemporaryDirectory(prefix="sluice-compat-") as name:
        directory = Path(name)
        with compat_server(directory / "stack") as server:
            found = [each for client in chosen for each in _recorded(client, server, directory)]
    docs.main()
    for exclusion in unused(found):
        print(f"nothing fails by this any more, take it out of exclusions.toml: {exclusion.suite}: {exclusion.reason}")
    failures = [outcome for outcome in found if outcome.verdict == "fails"]
    print(f"{len(found) - len(failures)} of {len(found)} work; docs/clients.md has them all")
    sys.exit(1 if failures else 0)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.compat", description=__doc__)
    names = [client.name for client in clients()]
    parser.add_argument("clients", nargs="*", metavar="client", help=f"some of {', '.join(names)}; all, if none")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.clients if name not in names]
    if unknown:
        parser.error(f"there is no client {unknown[0]!r}; there are {', '.join(names)}")
    return options


def run_client(client: Client, server: CompatServer, directory: Path) -> Iterator[Outcome]:
    """All that is run of a client, each as it ends."""
    try:
        folder = environment(client)
    except EnvironmentMissingError as error:
        for _, surface, part in client.runs:
            yield _shown(
                Outcome(
                    client=client.name,
                    version=client.version,
                    surface=surface,
                    part=part,
                    verdict="not run",
                    why=str(error),
                )
            )
        return
    for quickstart in client.quickstarts:
        started_s = time.monotonic()
        yield _shown(run_quickstart(client, quickstart, folder, server, directory), started_s)
    for suite in client.suites:
        started_s = time.monotonic()
        yield _shown(run_suite(client, suite, folder, server, directory / suite.surface), started_s)


def _recorded(client: Client, server: CompatServer, directory: Path) -> Sequence[Outcome]:
    """What came of a client, recorded before the next one is run: a run of all takes long, and may be broken off."""
    found = list(run_client(client, server, directory / client.name))
    record(found, [run for each in clients() for run in each.runs])
    return found


def _shown(outcome: Outcome, started_s: float | None = None) -> Outcome:
    took = "" if started_s is None else f", {time.monotonic() - started_s:.0f} s"
    tests = f", {outcome.passed} tests passed" if outcome.passed else ""
    why = "".join(f"\n    {each}" for each in (outcome.why, *outcome.failed) if each)
    print(f"{outcome.verdict:8} {outcome.client} {outcome.part} ({outcome.surface}{took}{tests}){why}", flush=True)
    return outcome


if __name__ == "__main__":
    main()
