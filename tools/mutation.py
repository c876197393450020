"""Mutation testing: which changes of a module its tests do not notice.

    python -m tools.mutation layers/sluice/sluice/gateway/settlement.py --tests tests/unit/gateway

Each mutant has one change: a condition negated, a comparison or an operator swapped, a `not`, a keyword argument, a
statement, a handler or a context left out, a number or a truth value changed. A process of its own imports it in place
of the module and runs the tests until one fails; those that none fails for are printed. No file is changed.
"""

import argparse
import ast
import io
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from pathlib import Path
from types import ModuleType

import pytest

from tools.processes import ROOT

_LONGEST_S = 60
_PYTEST = ("--quiet", "--exitfirst", "--no-header", "-p", "no:cacheprovider")
_SWAPPED: dict[type[ast.AST], type[ast.AST]] = {
    **{ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq},
    **{ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And},
    **{ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult},
}
_NAMES = {"max": "min", "min": "max", "any": "all", "all": "any"}

type Change = tuple[ast.AST, str, bool, Callable[[], ast.AST | list[ast.stmt] | None]]
"""A node, what changes, whether that is where control goes, and what does it: in place, or it returns another node."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """A module with one change. `is_branch`: of where control goes."""

    line: int
    kind: str
    is_branch: bool
    tree: ast.Module


def mutants(source: str) -> Iterator[Mutant]:
    """All mutants of a module's source."""
    for number in range(len(list(_changes(ast.parse(source))))):
        tree = ast.parse(source)
        node, kind, is_branch, change = list(_changes(tree))[number]
        instead = change()
        if instead is not None:
            _Replacement(node, instead).visit(tree)
        yield Mutant(getattr(node, "lineno", 0), kind, is_branch, ast.fix_missing_locations(tree))


class _Replacement(ast.NodeTransformer):
    def __init__(self, node: ast.AST, instead: ast.AST | list[ast.stmt]) -> None:
        self._node, self._instead = node, instead

    def visit(self, node: ast.AST) -> ast.AST | list[ast.stmt]:
        """See NodeTransformer.visit."""
        changed: ast.AST | list[ast.stmt] = self._instead if node is self._node else super().visit(node)
        return changed


def _changes(tree: ast.Module) -> Iterator[Change]:
    declared = [each for node in ast.walk(tree) for each in getattr(node, "decorator_list", ())]
    skipped = {id(node) for each in declared for node in ast.walk(each)}
    for node in ast.walk(tree):
        if id(node) not in skipped:
            yield from _changes_of(node)


def _changes_of(node: ast.AST) -> Iterator[Change]:
    def put(kind: str, name: str, value: object, *, is_branch: bool = True) -> Change:
        return node, kind, is_branch, lambda: setattr(node, name, value)

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
            yield node, "drop not", True, lambda: node.operand
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
            yield node, "drop the statement", False, ast.Pass
        case ast.Raise():
            yield node, "drop the raise", True, ast.Pass
        case ast.Return(value=ast.expr() as value) if not isinstance(value, ast.Constant):
            yield put("return None", "value", ast.Constant(None), is_branch=False)
        case ast.ExceptHandler() if not isinstance(node.body[0], ast.Raise):
            yield put("drop the handler", "body", [ast.Raise()])
        case ast.With() if all(item.optional_vars is None for item in node.items):
            yield node, "drop the context", True, lambda: node.body


class _Importer(MetaPathFinder, Loader):
    """Imports a mutant in place of its module."""

    def __init__(self, name: str, tree: ast.Module) -> None:
        self._name, self._tree = name, tree

    def find_spec(self, fullname: str, *_: object) -> ModuleSpec | None:
        """See MetaPathFinder.find_spec."""
        return spec_from_loader(fullname, self) if fullname == self._name else None

    def exec_module(self, module: ModuleType) -> None:
        """See Loader.exec_module."""
        exec(compile(self._tree, self._name, "exec"), module.__dict__)  # noqa: S102 -- our own module


def _passes(tests: Sequence[str]) -> bool:
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        return pytest.main([*_PYTEST, *tests]) == pytest.ExitCode.OK


def _survives(mutant: Mutant, name: str, tests: Sequence[str]) -> bool:
    if (pid := os.fork()) == 0:
        signal.alarm(_LONGEST_S)
        sys.meta_path.insert(0, _Importer(name, mutant.tree))
        # What was imported for the tests as they are, but for the rooms that do not know the module's.
        room = name.rpartition(".")[0]
        for each in [each for each in sys.modules if each == room or each.startswith((f"{room}.", "test", "conftest"))]:
            del sys.modules[each]
        os._exit(0 if _passes(tests) else 1)
    return os.waitpid(pid, 0)[1] == 0


def main() -> None:
    """Print what survives of a module, and the score."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("module", type=Path)
    parser.add_argument("--tests", nargs="+", required=True)
    options = parser.parse_args()
    if not _passes(options.tests):
        sys.exit("The tests fail without any change.")
    path: Path = options.module
    name = ".".join(path.resolve().relative_to(ROOT / "layers" / "sluice").with_suffix("").parts)
    alive, made = [], list(mutants(path.read_text()))
    for each in made:
        if _survives(each, name, options.tests):
            alive.append(each)
            print(f"{path}:{each.line}: {each.kind}{' (a branch)' if each.is_branch else ''}", flush=True)
    branches, surviving = (sum(each.is_branch for each in group) for group in (made, alive))
    print(f"{len(made) - len(alive)} of {len(made)} mutants killed, {branches - surviving} of {branches} branches")


if __name__ == "__main__":
    main()
