"""Which clients and suites are run, in which versions, and how each is pointed at Sluice: what clients.toml says."""

import tomllib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

FOLDER = Path(__file__).parent
QUICKSTARTS = FOLDER / "quickstarts"

type Language = Literal["python", "node"]
type Surface = Literal[
    "chat",
    "responses",
    "messages",
    "completions",
    "embeddings",
    "moderations",
    "files",
    "uploads",
    "batches",
    "models",
    "vector stores",
]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Quickstart(_Strict):
    """A script of a few lines, as the client's own page has it."""

    surface: Surface
    script: str = Field(description="a file in quickstarts/: .py, .mjs or .sh")
    expects: tuple[str, ...] = Field(min_length=1, description="texts that it has to print")
    answers: tuple[str, ...] = Field(default=(), description="what the model says, in order; then it echoes the prompt")

    @property
    def path(self) -> Path:
        """Where the script is."""
        return QUICKSTARTS / self.script

    @property
    def code(self) -> str:
        """The script, with the address and the key of `make run`."""
        return self.path.read_text()


class Suite(_Strict):
    """A part of an outside test suite."""

    surface: Surface
    part: str = Field(description="what this part is called in the suite: a file of tests, or a set")


class Client(_Strict):
    """A client or a test suite, and the environment that it needs."""

    name: str
    title: str
    language: Language
    packages: tuple[str, ...] = Field(min_length=1, description="with their versions; the first is the client itself")
    pythons: tuple[str, ...] = Field(default=("3.13",), description="versions of Python that it takes, best first")
    page: str = Field(description="the registry's page of it")
    licence: str = Field(default="", description="of a suite's tests, which are fetched and not copied")
    sha256: str = Field(default="", description="of a source distribution that has the suite's tests")
    pointing: str = Field(default="", description="how it is pointed at Sluice, one sentence")
    oddity: str = ""
    quickstarts: tuple[Quickstart, ...] = ()
    suites: tuple[Suite, ...] = ()

    @property
    def version(self) -> str:
        """The pinned version of the client itself."""
        return version_of(self.packages[0])

    @property
    def runs(self) -> Sequence[tuple[str, Surface, str]]:
        """What is run of it: the client, the surface, and the script or the part of the suite."""
        scripts = [(self.name, each.surface, each.script) for each in self.quickstarts]
        return [*scripts, *((self.name, each.surface, each.part) for each in self.suites)]


class _Clients(_Strict):
    client: tuple[Client, ...]


@cache
def clients() -> Sequence[Client]:
    """All clients and suites, in the order in which they are shown."""
    return _Clients.model_validate(tomllib.loads((FOLDER / "clients.toml").read_text())).client


def version_of(package: str) -> str:
    """`1.2` of `name==1.2` and of `@scope/name@1.2`; ValueError if it is not pinned."""
    name, _, version = package.rpartition("==" if "==" in package else "@")
    if not name or not version:
        raise ValueError(f"{package!r} has no pinned version")
    return version
