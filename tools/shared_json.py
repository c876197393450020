"""Puts JSON beside each TOML file of a folder, which is read in its place: `python tools/shared_json.py FOLDER`."""

import json
import sys
import tomllib
from pathlib import Path


def main(folder: Path) -> None:
    """Do so, for all files below it."""
    for path in sorted(folder.rglob("*.toml")):
        path.with_suffix(".json").write_text(json.dumps(tomllib.loads(path.read_text("utf-8")), ensure_ascii=False))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
