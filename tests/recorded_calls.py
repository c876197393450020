"""Records which function of template.yaml calls what of AWS while tests run, and compares that with their roles.

A function is known by the route that it is asked for, through `lambda_handler` or `AsgiApp`. What tests themselves ask
AWS for is nobody's.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from functools import cache, wraps
from typing import Any

import pytest
from botocore.client import BaseClient

from sluice.storage.json_service import JsonService
from tools import roles, template
from tools.roles import Call
from tools.template import Run

type Recorded = tuple[str, Call]

_asked: ContextVar[str | None] = ContextVar("asked", default=None)
_found: dict[Recorded, str] = {}
"""The function's calls, and the test that was the first to make it."""


@cache
def _resources() -> frozenset[str]:
    return frozenset(template.load()["Resources"])


@cache
def _routes() -> list[tuple[template.Route, str]]:
    source = template.load()
    functions = [name for name, resource in source["Resources"].items() if resource["Type"].endswith("::Function")]
    return [(route, function) for function in functions for route in template.routes(source, function)]


@cache
def _functions() -> list[str]:
    """All that have a trigger."""
    resources = template.load()["Resources"].items()
    return sorted(
        name for name, each in resources if each["Type"].endswith("::Function") and each["Properties"]["Events"]
    )


def _function(method: str, path: str) -> str | None:
    # The most exact route first: `/v1/models/{id+}` takes what `/v1/models` does not.
    matching = [(len(route.path), function) for route, function in _routes() if route.matches(method, path)]
    return max(matching, default=(0, None))[1]


def record(service: str, operation: str, request: Any) -> None:
    """Note a call of what template.yaml has, if a function is being asked."""
    function = _asked.get()
    if function is None:
        return
    test = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0]
    for call in roles.calls(service, operation, request):
        if call.resource.partition("/")[0] in _resources():
            _found.setdefault((function, call), test)


@cache
def install() -> None:
    """Begin to record, once. Before anything imports what is wrapped here by name."""
    from sluice.api import asgi, rest

    _wrap_clients()
    rest.lambda_handler = _attributing(rest.lambda_handler)
    call_app = asgi.AsgiApp.__call__

    @wraps(call_app)
    async def call(self: Any, scope: Any, receive: Any, send: Any) -> None:
        token = _asked.set(_function(scope.get("method", ""), scope.get("path", "")))
        try:
            await call_app(self, scope, receive, send)
        finally:
            _asked.reset(token)

    asgi.AsgiApp.__call__ = call  # type: ignore[method-assign]
    submit: Any = ThreadPoolExecutor.submit

    def submit_in_context(self: Any, work: Any, /, *arguments: Any, **named: Any) -> Any:
        return submit(self, copy_context().run, work, *arguments, **named)

    ThreadPoolExecutor.submit = submit_in_context  # type: ignore[method-assign]


@contextmanager
def asked_as(function: str) -> Iterator[None]:
    """Note what is called meanwhile as a function's, which something else than a route asks."""
    token = _asked.set(function)
    try:
        yield
    finally:
        _asked.reset(token)


def _attributing(make_handler: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(make_handler)
    def make(*arguments: Any, **named: Any) -> Any:
        handler = make_handler(*arguments, **named)

        @wraps(handler)
        def handle(event: Any, context: Any) -> Any:
            token = _asked.set(_function(event["httpMethod"], event["path"]))
            try:
                return handler(event, context)
            finally:
                _asked.reset(token)

        return handle

    return make


def _wrap_clients() -> None:
    call = JsonService.call

    @wraps(call)
    def call_recorded(self: JsonService, operation: str, request: Any, **options: Any) -> Any:
        record(self._model.name, operation, request)
        return call(self, operation, request, **options)

    JsonService.call = call_recorded  # type: ignore[method-assign]

    # What the circuit breaker still asks.
    send: Any = BaseClient._make_api_call  # type: ignore[attr-defined]  # what every method of a client calls

    @wraps(send)
    def send_recorded(self: Any, operation: str, request: Any) -> Any:
        record(self.meta.service_model.endpoint_prefix, operation, request)
        return send(self, operation, request)

    BaseClient._make_api_call = send_recorded  # type: ignore[attr-defined]


def exchanged() -> list[tuple[str, str, str, list[str], str]]:
    """What this process has recorded, as plain values for another one."""
    return [
        (function, call.action, call.resource, list(call.leading_keys), test)
        for (function, call), test in _found.items()
    ]


def take(values: Iterable[tuple[str, str, str, list[str], str]]) -> None:
    """Add what another process has recorded."""
    for function, action, resource, keys, test in values:
        _found.setdefault((function, Call(action, resource, tuple(keys))), test)


def findings(*, is_whole: bool) -> list[str]:
    """What roles lack, and, if all tests ran, what they allow for nothing."""
    if not _found:
        return []
    [transformed] = template.transform(template.read(), [Run()])
    found = []
    for function in _functions():
        allowed = roles.permissions(transformed, function)
        made = [call for name, call in _found if name == function]
        found += [
            f"{function} may not {call.action} on {call.resource} {list(call.leading_keys)}: {_found[function, call]}"
            for call in roles.missing(allowed, made)
        ]
        if is_whole:
            found += [
                f"{function} may {call.action} on {call.resource} {list(call.leading_keys)}, which no test makes it do"
                for call in roles.unused(allowed, made)
            ]
    return found


def report(session: pytest.Session, *, is_whole: bool) -> None:
    """Fail the session if roles and calls are not the same."""
    if found := findings(is_whole=is_whole):
        reporter = session.config.pluginmanager.get_plugin("terminalreporter")
        assert isinstance(reporter, pytest.TerminalReporter)
        reporter.section("calls of AWS and roles of template.yaml")
        for finding in found:
            reporter.line(finding)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
