"""Finds tasks: those of shared/tasks, each read when it is first asked for, and tenants' own versions of them."""

import re
from functools import cache
from pathlib import Path

from sluice.catalog.reader import SHARED
from sluice.errors import InvalidRequestError, NotFoundError
from sluice.tasks.code import code_of
from sluice.tasks.task import SHARED_VERSION, Task, TaskFile, read_task
from sluice.tasks.versions import Listed, Traffic, Versions
from sluice.tenants.audit import Actor

_NUMBER = re.compile(r"[1-9][0-9]{0,5}", re.ASCII)
# What a task's code relies on, and no version of such a task may change.
_PARTS_OF_CODE = ("inputs", "output")


class Library:
    """The tasks there are. Threads may share it."""

    def __init__(self, versions: Versions, directory: Path = SHARED / "tasks") -> None:
        self._versions = versions
        self._directory = directory
        self._read = cache(read_task)
        self._paths = {path.stem: path for path in sorted(directory.glob("*.toml"))}

    def shared(self) -> list[Task]:
        """The tasks that come with Sluice, by name."""
        return [self._read(path) for path in self._paths.values()]

    def names(self) -> list[str]:
        """The names of the tasks that come with Sluice."""
        return list(self._paths)

    def find(self, tenant: str, name: str, version: str = SHARED_VERSION) -> Task:
        """One version of a task; NotFoundError if there is no such task or version."""
        path = self._paths.get(name)
        if path is None:
            raise NotFoundError(f"There is no task {name[:64]!r}.", param="name", code="task_not_found")
        if version == SHARED_VERSION:
            return self._read(path)
        if not _NUMBER.fullmatch(version):
            raise NotFoundError(f"There is no version {version[:64]!r} of the task {name!r}.", param="version")
        task = self._versions.get(tenant, name, version)
        return task if code_of(name) is None else _fit_for_code(task, self._read(path))

    def choose(self, tenant: str, name: str, subject: str) -> Task:
        """The version that answers `subject`: whom or what requests are split by."""
        self.find(tenant, name)
        return self.find(tenant, name, self._versions.traffic(tenant, name).version_for(f"{name}#{subject}"))

    def traffic(self, tenant: str, name: str) -> Traffic:
        """How a tenant's requests are split; NotFoundError if there is no such task."""
        self.find(tenant, name)
        return self._versions.traffic(tenant, name)

    def direct(self, tenant: str, name: str, traffic: Traffic, actor: Actor) -> Traffic:
        """Split a tenant's requests; NotFoundError if there is no such task or version.

        Returns how they are split, with who said so.
        """
        for version in (traffic.active, traffic.other):
            if version is not None:
                self.find(tenant, name, version)
        return self._versions.direct(tenant, name, traffic, actor)

    def versions(self, tenant: str, name: str) -> list[Listed]:
        """A tenant's versions of a task, oldest first; NotFoundError if there is no such task."""
        self.find(tenant, name)
        return self._versions.all(tenant, name)

    def store(self, tenant: str, name: str, file: TaskFile, actor: Actor) -> Listed:
        """Keep a tenant's own version, after everything in it was checked; InvalidRequestError names what is wrong."""
        shared = self.find(tenant, name)
        try:
            Task(name, "new", file).compile()
        except InvalidRequestError as error:
            param = f"definition.{error.param}"
            raise InvalidRequestError(f"definition.{error.message}", param=param) from None
        if code_of(name) is not None:
            for part in _PARTS_OF_CODE:
                if getattr(file, part) != getattr(shared.file, part):
                    message = f"definition.{part}: must be the shared version's, because {name} has code that reads it."
                    raise InvalidRequestError(message, param=f"definition.{part}")
        return self._versions.create(tenant, name, file, actor)


def _fit_for_code(task: Task, shared: Task) -> Task:
    """The task with what its code reads as the shared version has it now, not as it was when this one was stored."""
    changed = {
        part: getattr(shared.file, part)
        for part in _PARTS_OF_CODE
        if getattr(task.file, part) != getattr(shared.file, part)
    }
    return Task(task.name, task.version, task.file.model_copy(update=changed)) if changed else task
