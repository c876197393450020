"""Dataclasses that cost little to define: the constructor of each is generated when it is first called.

Python's own generates and compiles six methods for each class that is defined, used or not: a third of the CPU of
loading a function of hundreds of classes. All but the constructor is the same code for all classes here, compiled once.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import MISSING, FrozenInstanceError
from operator import attrgetter
from reprlib import recursive_repr
from types import MemberDescriptorType
from typing import TYPE_CHECKING, Any

__all__ = ["dataclass"]

if TYPE_CHECKING:
    # Type checkers know its options and what it makes of a class.
    from dataclasses import dataclass  # noqa: TID251
else:

    def dataclass(cls=None, /, *, frozen=False, slots=False, kw_only=False, eq=True):
        """As `dataclasses.dataclass`, of whose other options none is used here, and neither is InitVar."""

        def define(cls):
            return _define(cls, is_frozen=frozen, slots=slots, kw_only=kw_only, eq=eq)

        return define if cls is None else define(cls)


def _define(cls: type, *, is_frozen: bool, slots: bool, kw_only: bool, eq: bool) -> type:
    constructor = _Constructor(is_frozen=is_frozen)
    methods: dict[str, Any] = {"__init__": constructor, "__repr__": _described}
    if is_frozen:
        methods |= {"__setattr__": _refuse_to_assign, "__delattr__": _refuse_to_delete}
        if slots:
            methods |= {"__getstate__": _state, "__setstate__": _restore}
    for name, method in methods.items():
        if name not in vars(cls):
            setattr(cls, name, method)
    # Python's own would look into the constructor for one, and compile methods for `frozen` and `eq`.
    cls.__doc__ = cls.__doc__ or cls.__name__
    made: type = dataclasses.dataclass(  # noqa: TID251
        init=False, repr=False, eq=False, slots=slots, kw_only=kw_only
    )(cls)
    constructor.owner = made
    if eq:
        _add_equality(made, is_frozen=is_frozen)
    return made


class _Constructor:
    """In the place of a class's `__init__` until that is asked for; then it is generated, and takes its place."""

    owner: type

    def __init__(self, *, is_frozen: bool) -> None:
        self._is_frozen = is_frozen

    def __get__(self, instance: object, owner: type | None = None) -> Callable[..., None]:
        init = _constructor_of(self.owner, is_frozen=self._is_frozen)
        # Threads that come at once each do so, with the same.
        self.owner.__init__ = init  # type: ignore[misc]
        bound: Callable[..., None] = init if instance is None else init.__get__(instance)
        return bound


def _constructor_of(cls: type, *, is_frozen: bool) -> Callable[..., None]:
    names: dict[str, Any] = {"__assign": object.__setattr__, "__unset": MISSING}
    positional: list[str] = []
    keyword: list[str] = []
    statements: list[str] = []
    for field in dataclasses.fields(cls):
        name = value = field.name
        default = ""
        if field.default_factory is not MISSING:
            names[f"__make_{name}"] = field.default_factory
            default = "=__unset"
            value = f"__make_{name}() if {name} is __unset else {name}" if field.init else f"__make_{name}()"
        elif field.default is not MISSING:
            names[f"__default_{name}"] = field.default
            default = f"=__default_{name}"
            value = name if field.init else f"__default_{name}"
        elif not field.init:
            continue
        if field.init:
            (keyword if field.kw_only else positional).append(name + default)
        if not is_frozen:
            statements.append(f" self.{name} = {value}")
        elif isinstance(slot := getattr(cls, name, None), MemberDescriptorType):
            # Two thirds of what object.__setattr__ takes, which looks for it by its name.
            names[f"__set_{name}"] = slot.__set__
            statements.append(f" __set_{name}(self, {value})")
        else:
            statements.append(f" __assign(self, {name!r}, {value})")
    if hasattr(cls, "__post_init__"):
        statements.append(" self.__post_init__()")
    parameters = ", ".join(["self", *positional, *(["*", *keyword] if keyword else [])])
    exec("\n".join([f"def __init__({parameters}):", *statements, " return None"]), names)  # noqa: S102 -- names of fields
    init: Callable[..., None] = names["__init__"]
    init.__qualname__, init.__module__ = f"{cls.__qualname__}.__init__", cls.__module__
    init.__annotations__ = {field.name: field.type for field in dataclasses.fields(cls) if field.init}
    return init


def _add_equality(cls: Any, *, is_frozen: bool) -> None:
    names = [field.name for field in dataclasses.fields(cls) if field.compare]
    values: Callable[[object], object] = attrgetter(*names) if names else lambda _: ()

    def equals(self: object, other: object) -> bool:
        if self is other:
            return True
        return values(self) == values(other) if other.__class__ is self.__class__ else NotImplemented

    def hashed(self: object) -> int:
        return hash(values(self))

    has_hash = vars(cls).get("__hash__") is not None
    if "__eq__" not in vars(cls):
        cls.__eq__ = equals
    if not has_hash:
        cls.__hash__ = hashed if is_frozen else None


@recursive_repr()
def _described(self: Any) -> str:
    fields = (f"{field.name}={getattr(self, field.name)!r}" for field in dataclasses.fields(self) if field.repr)
    return f"{self.__class__.__qualname__}({', '.join(fields)})"


def _refuse_to_assign(self: object, name: str, value: object) -> None:
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_to_delete(self: object, name: str) -> None:
    raise FrozenInstanceError(f"cannot delete field {name!r}")


# What is frozen and has slots is copied and pickled by these.
def _state(self: Any) -> list[object]:
    return [getattr(self, field.name) for field in dataclasses.fields(self)]


def _restore(self: Any, state: list[object]) -> None:
    for field, value in zip(dataclasses.fields(self), state, strict=True):
        object.__setattr__(self, field.name, value)
