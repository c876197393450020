"""Mutation testing: which changes of a module its tests do not notice.

    python -m tools.mutation layers/sluice/sluice/gateway/settlement.py tests/unit/gateway

Each mutant has one change: a condition negated, a comparison or an operator swapped, a `not`, a keyword argument, a
statement, a handler or a context left out, a number or a truth value changed. A process of its own imports it in place
of the module and runs the tests until one fails; those that none fails for are printed. No file is changed.
"""

import ast
import io
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pytest

from tools.processes import ROOT

_LONGEST_S = 60
_LAYER = ROOT / "layers" / "sluice"
_PYTEST = ("--quiet", "--exitfirst", "--no-header", "-p", "no:cacheprovider")
_SWAPPED: dict[type[ast.AST], type[ast.AST]] = {
    **{ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq},
    **{ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And},
    **{ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult},
}
_NAMES = {"max": "min", "min": "max", "any": "all", "all": "any"}


class Change(NamedTuple):
    """What changes at a node: in place, or into what `apply` returns. `is_branch`: it is where control goes."""

    node: ast.AST
    kind: str
    is_branch: bool
    apply: Callable[[], ast.AST | list[ast.stmt] | None]


def mutant(source: str, number: int) -> ast.Module:
    """A module's source with the change of a number."""
    tree = ast.parse(source)
    change = list(changes(tree))[number]
    instead = change.apply()
    if instead is not None:
        _Replacement(change.node, instead).visit(tree)
    return ast.fix_missing_locations(tree)


class _Replacement(ast.NodeTransformer):
    def __init__(self, node: ast.AST, instead: ast.AST | list[ast.stmt]) -> None:
        self._node, self._instead = node, instead

    def visit(self, node: ast.AST) -> ast.AST | list[ast.stmt]:
        """See NodeTransformer.visit."""
        changed: ast.AST | list[ast.stmt] = self._instead if node is self._node else super().visit(node)
        return changed


def changes(tree: ast.Module) -> Iterator[Change]:
    """All changes of a module, always in the same order."""
    declared = [each for node in ast.walk(tree) for each in getattr(node, "decorator_list", ())]
    skipped = {id(node) for each in declared for node in ast.walk(each)}
    for node in ast.walk(tree):
        if id(node) not in skipped:
            yield from _changes_of(node)


def _changes_of(node: ast.AST) -> Iterator[Change]:
    def put(kind: str, name: str, value: object, *, is_branch: bool = True) -> Change:
        return Change(node, kind, is_branch, lambda: setattr(node, name, value))

    match node:
        case ast.If() | ast.IfExp() | ast.While():
            yield put("negate", "test", ast.UnaryOp(ast.Not(), node.test))
        case ast.comprehension():
            for test in node.ifs:
                others = [each for each in node.ifs if each is not test]
                yield put("negate a filter", "ifs", [*others, ast.UnaryOp(ast.Not(), test)])
        case ast.Compare():
            for place, operator in enumerate(node.ops):
                swapped = [*node.ops[:place], _SWAPPED[type(operator)](), *node.ops[place + 1 :]]
                yield put("swap the comparison", "ops", swapped)
        case ast.BoolOp():
            yield put("swap and, or", "op", _SWAPPED[type(node.op)]())
        case ast.UnaryOp(op=ast.Not()):
            yield Change(node, "drop not", True, lambda: node.operand)
        case ast.BinOp() | ast.AugAssign() if type(node.op) in _SWAPPED:
            yield put("swap the operator", "op", _SWAPPED[type(node.op)](), is_branch=False)
        case ast.Constant(value=bool() as value):
            yield put(f"not {value}", "value", not value)
        case ast.Constant(value=int() | float() as number):
            yield put(f"{number} + 1", "value", number + 1, is_branch=False)
        case ast.Name() if node.id in _NAMES:
            yield put(_NAMES[node.id], "id", _NAMES[node.id], is_branch=False)
        case ast.Call():
            for place, keyword in enumerate(node.keywords):
                rest = [*node.keywords[:place], *node.keywords[place + 1 :]]
                yield put(f"drop {keyword.arg}=", "keywords", rest, is_branch=False)
        case ast.Expr() if not isinstance(node.value, ast.Constant):
            yield Change(node, "drop the statement", False, ast.Pass)
        case ast.Raise():
            yield Change(node, "drop the raise", True, ast.Pass)
        case ast.Return(value=ast.expr() as value) if not isinstance(value, ast.Constant):
            yield put("return None", "value", ast.Constant(None), is_branch=False)
        case ast.ExceptHandler() if not isinstance(node.body[0], ast.Raise):
            yield put("drop the handler", "body", [ast.Raise()])
        case ast.With() if all(item.optional_vars is None for item in node.items):
            yield Change(node, "drop the context", True, lambda: node.body)


def _passes(tests: Sequence[str]) -> bool:
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        return pytest.main([*_PYTEST, *tests]) == pytest.ExitCode.OK


def _survives(tree: ast.Module, name: str, tests: Sequence[str]) -> bool:
    if (pid := os.fork()) == 0:
        signal.alarm(_LONGEST_S)
        # What was imported for the tests stays as it is, but for the room of the module, and the tests.
        room, _, own_name = name.rpartition(".")
        for each in [each for each in sys.modules if each == room or each.startswith((f"{room}.", "test", "conftest"))]:
            del sys.modules[each]
        sys.modules[name] = module = ModuleType(name)
        exec(compile(tree, name, "exec"), module.__dict__)  # noqa: S102 -- our own module
        setattr(import_module(room), own_name, module)
        os._exit(0 if _passes(tests) else 1)
    return os.waitpid(pid, 0)[1] == 0


def main() -> None:
    """Print what survives of a module, and the score."""
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    path, tests = Path(sys.argv[1]), sys.argv[2:]
    if not _passes(tests):
        sys.exit("The tests fail without any change.")
    name, source = ".".join(path.resolve().relative_to(_LAYER).with_suffix("").parts), path.read_text()
    made, alive = list(changes(ast.parse(source))), list[Change]()
    for number, change in enumerate(made):
        if _survives(mutant(source, number), name, tests):
            alive.append(change)
            where = f"{path}:{getattr(change.node, 'lineno', 0)}"
            print(f"{where}: {change.kind}{' (a branch)' if change.is_branch else ''}", flush=True)
    branches, surviving = (sum(each.is_branch for each in group) for group in (made, alive))
    print(f"{len(made) - len(alive)} of {len(made)} mutants killed, {branches - surviving} of {branches} branches")


if __name__ == "__main__":
    main()
