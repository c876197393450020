"""Lints transformed templates: `[{"template": ..., "regions": [...]}]` in, a list of findings out, both JSON.

The interpreter of .tools/sam runs it: cfn-lint is installed only there.
"""

import json
import sys

from cfnlint.api import ManualArgs, lint  # type: ignore[import-not-found]  # only in .tools/sam


def main() -> None:
    """Lint what standard input has."""
    found = [
        f"{', '.join(asked['regions'])}: {match.rule.id} {match.message}"
        for asked in json.load(sys.stdin)
        for match in lint(json.dumps(asked["template"], indent=1), config=ManualArgs(regions=asked["regions"]))
    ]
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
