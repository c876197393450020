"""What `make run KEEP=1` keeps from one run to the next: MiniStack's state, and the keys that stack.json showed."""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path


class KeptError(Exception):
    """What was kept can't be used. The message says what can be done."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What a run has to know of the one before it."""

    account_id: str
    """The account that everything is in, and so the id of the access key."""
    api_keys: Mapping[str, str]
    """By role, as they were made for stack.json."""


class KeptState:
    """A folder with what is kept. Its owner alone can read it: it holds prompts, answers and keys."""

    def __init__(self, folder: Path) -> None:
        """Begin anew if the run before never came so far that it had something to keep. Raises KeptError."""
        self.folder = folder
        self._file = folder / "kept.json"
        self.before = self._read()
        if self.before is None and folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    @property
    def variables(self) -> dict[str, str]:
        """What MiniStack is started with to keep its state here."""
        return {
            "PERSIST_STATE": "1",
            "STATE_DIR": str(self.folder / "state"),
            "S3_PERSIST": "1",
            "S3_DATA_DIR": str(self.folder / "s3"),
        }

    def write(self, kept: Kept) -> None:
        """Say that there is something to keep, in one step."""
        partial = self._file.with_suffix(".partial")
        partial.unlink(missing_ok=True)
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(asdict(kept), file)
        partial.replace(self._file)

    def unreadable(self, reason: str) -> KeptError:
        """The error that what is kept here can't be used."""
        return KeptError(
            f"what earlier runs kept in {self.folder} can't be used: {reason}. It is left as it is. "
            "To begin anew, move that folder away; `make run` without KEEP=1 does not touch it"
        )

    def _read(self) -> Kept | None:
        if not self._file.exists():
            return None
        try:
            return Kept(**json.loads(self._file.read_text()))
        except (ValueError, TypeError) as error:
            raise self.unreadable(f"{self._file.name} is damaged") from error
