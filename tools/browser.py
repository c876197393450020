"""Finds the browser that tests use, and installs Debian's where that takes no question: `python -m tools.browser`."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

OFF = "off"
"""What CHROMIUM is set to by somebody who wants to do without the tests that take a browser."""
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_MAC_APPLICATIONS = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
MISSING = (
    "There is no Chromium or Chrome here, which the tests of what a web page can reach take. "
    "Install one (Debian: `apt-get install chromium`), or name one: `make test CHROMIUM=/path/to/chrome`. "
    f"`make test CHROMIUM={OFF}` does without these tests."
)


def find() -> str | None:
    """The path of Chromium or Chrome: CHROMIUM, or where they usually are. None if there is none."""
    if named := os.environ.get("CHROMIUM"):
        return shutil.which(named)
    found = [path for name in _NAMES if (path := shutil.which(name))]
    found += [path for path in _MAC_APPLICATIONS if Path(path).exists()]
    return found[0] if found else None


def main() -> None:
    """Install Debian's package if there is no browser yet and root asks; otherwise say what is missing."""
    if os.environ.get("CHROMIUM") == OFF or find():
        return
    apt_get = shutil.which("apt-get")
    if apt_get is None or os.geteuid() != 0 or os.environ.get("CHROMIUM"):
        sys.exit(MISSING)
    print("installing chromium, for the tests of what a web page can reach", flush=True)
    # What is listed may be older than what the mirror still has.
    subprocess.run([apt_get, "update", "--quiet=2"], check=True)
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(
        [apt_get, "install", "--yes", "--quiet=2", "--no-install-recommends", "chromium"], check=True, env=quiet
    )
    if find() is None:
        sys.exit(MISSING)


if __name__ == "__main__":
    main()
