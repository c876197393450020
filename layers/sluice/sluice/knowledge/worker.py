"""Does what messages of stores ask for. Each may come twice, to two at once, and after whoever had it has died."""

from collections.abc import Callable
from typing import assert_never

from sluice.errors import AuthenticationError, NotFoundError
from sluice.knowledge.checking import StoreChecker
from sluice.knowledge.cleaning import StoreCleaner
from sluice.knowledge.messages import Check, Empty, ProcessFile, Purge, Rebuild, Repair, StoreMessage
from sluice.knowledge.open_work import OpenEntry, OpenWork
from sluice.knowledge.processing import FileProcessor
from sluice.knowledge.rebuilding import Rebuilder
from sluice.knowledge.writer import DocumentWriter
from sluice.loading.dataclass import dataclass
from sluice.quota.leftover import leaving_free
from sluice.tenants.principal import Principal

type FindPrincipal = Callable[[StoreMessage], Principal]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerParts:
    """What the work takes. `find` gives the principal of a message, or raises AuthenticationError.

    `kept_free_percent` of every limit is left to callers who wait.
    """

    writer: DocumentWriter
    processor: FileProcessor
    rebuilder: Rebuilder
    cleaner: StoreCleaner
    checker: StoreChecker
    work: OpenWork
    find: FindPrincipal
    kept_free_percent: int


class StoreWorker:
    """Works on stores. Threads may share it. Raises StorageUnavailableError, after which a message is to come again."""

    def __init__(self, parts: WorkerParts) -> None:
        self._parts = parts

    def do(self, message: StoreMessage) -> None:
        """Do what a message asks for, and strike it off where it is written down as open."""
        try:
            principal = self._parts.find(message)
        except AuthenticationError:
            principal = None  # whoever asked for it has no rights any more, and no budget
        try:
            if isinstance(message, Empty):
                # Whatever became of who asked for it.
                self._parts.cleaner.empty(message.tenant, message.store)
            elif isinstance(message, Check):
                self._parts.checker.check(message)
            elif principal is not None:
                # Nobody waits for it.
                with leaving_free(self._parts.kept_free_percent):
                    self._do(message, principal)
        except NotFoundError as error:
            if error.param != "vector_store_id":
                raise
        if message.open is not None:
            self._parts.work.done(OpenEntry(*message.open))

    def _do(self, message: Repair | ProcessFile | Rebuild | Purge, principal: Principal) -> None:
        match message:
            case Repair():
                self._parts.writer.repair(principal, message.store, message.document, message.failures)
            case ProcessFile():
                self._parts.processor.process(principal, message)
            case Rebuild():
                self._parts.rebuilder.rebuild(principal, message)
            case Purge():
                self._parts.rebuilder.purge(principal, message)
            case _:
                assert_never(message)
