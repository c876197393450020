"""`python -m benchmarks [--quick] [section ...]`: measures Sluice on this machine and prints tables for docs."""

import argparse
import subprocess
import sys

from benchmarks import machine
from tools.processes import ROOT

# Title and module by name.
SECTIONS = {
    "times": ("Requests", "request_times"),
    "dynamodb": ("DynamoDB", "dynamodb_requests"),
    "configuration": ("AI configuration", "configuration_times"),
    "cost": ("What AWS bills", "infrastructure_cost"),
    "memory": ("Memory of the chat function", "memory_sweep"),
    "starts": ("Cold start and size", "starts"),
    "embedding": ("The embedding model", "embedding"),
    "search": ("Search in stores", "search"),
    "questions": ("Questions", "questions"),
    "embedding-cost": ("What embeddings cost", "embedding_cost"),
    "guards": ("Guards", "guards"),
    "quota": ("Quotas", "quota"),
    "scale": ("Quotas at scale", "quota_scale"),
    "leftover": ("Leftover quota", "leftover_quota"),
    "batch": ("Large batches", "large_batch"),
    "insights": ("Insights", "insights"),
}
# With `--vs` alone.
_VERSUS = ("Beside another gateway", "versus")
# A window of a minute has to pass more than once, here or in a simulation of many requests.
_SLOW = {"quota", "scale", "leftover"}


def _run(module: str, options: list[str]) -> str:
    """Run one section in a process of its own, so that nothing of another section weighs on it."""
    command = [sys.executable, "-m", f"benchmarks.{module}", *options]
    return subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout


def main() -> None:
    """Run the sections that were asked for and print what they found."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("sections", nargs="*", metavar="section", help=f"some of {', '.join(SECTIONS)}; all, if none")
    parser.add_argument("--quick", action="store_true", help="few rounds: shows that it runs, and no more")
    parser.add_argument("--vs", metavar="URL", help="compare with the gateway there, on the same fake provider")
    parser.add_argument("--vs-key", default="none", metavar="KEY", help="its API key")
    parser.add_argument("--provider-port", default="9100", metavar="PORT", help="where it finds the fake provider")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.sections if name not in SECTIONS]
    if unknown:
        parser.error(f"there is no section {unknown[0]!r}; there are {', '.join(SECTIONS)}")
    quick = ["--quick"] if arguments.quick else []
    if arguments.vs:
        title, module = _VERSUS
        versus = ["--vs", arguments.vs, "--vs-key", arguments.vs_key, "--provider-port", arguments.provider_port]
        sys.stdout.write(f"{machine.description()}\n\n### {title}\n\n{_run(module, [*quick, *versus])}")
        return
    chosen = arguments.sections or [name for name in SECTIONS if not (arguments.quick and name in _SLOW)]
    sys.stdout.write(f"{machine.description()}\n")
    sys.stdout.flush()
    for name in chosen:
        title, module = SECTIONS[name]
        sys.stderr.write(f"measuring {name}\n")
        sys.stdout.write(f"\n### {title}\n\n{_run(module, quick)}")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
