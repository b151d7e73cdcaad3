"""Nested plain values -> dataclasses, every one checked: what a config file may say."""

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any

from stgan_jax.util.errors import InputError


def build(cls: Any, values: Mapping[str, Any], path: str) -> Any:
    """Builds a dataclass from nested plain values, `path` being what errors call them.

    Raises:
      InputError: an unknown or missing name, a value of another type, or one that `cls` refuses.
    """
    hints = typing.get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls)}
    kwargs = {}
    for name, value in values.items():
        if name not in fields:
            raise InputError(f"{path}.{name}: no such setting; there are {', '.join(fields)}")
        hint = hints[name]
        if isinstance(value, Mapping):
            inner = next(
                (t for t in _options(hint) if isinstance(t, type) and dataclasses.is_dataclass(t)),
                None,
            )
            require(inner is not None, f"{path}.{name} must be {_called(hint)}, not {value!r}")
            value = {k: v for k, v in value.items() if k != "kind"}
            kwargs[name] = build(inner, value, f"{path}.{name}")
        else:
            value = tuple(value) if isinstance(value, list | tuple) else value
            kinds = _options(hint)
            whole = type(value) is int and float in kinds and int not in kinds
            value = float(value) if whole else value  # type: ignore[arg-type]
            wanted = tuple(typing.get_origin(t) or t for t in kinds)
            require(
                isinstance(value, wanted) and isinstance(value, bool) <= (bool in wanted),
                f"{path}.{name} must be {_called(hint)}, not {value!r}",
            )
            kwargs[name] = value
    missing = [
        name
        for name, field in fields.items()
        if name not in kwargs and field.default is dataclasses.MISSING
    ]
    if missing:
        raise InputError(f"{path}: {', '.join(missing)} must be set")
    return cls(**kwargs)


def _options(hint) -> tuple:
    union = isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union
    return typing.get_args(hint) if union else (hint,)


def _called(hint) -> str:
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
    kinds = [kind for kind in _options(hint) if kind is not types.NoneType]
    is_list = typing.get_origin(kinds[0]) is tuple
    return names.get(kinds[0], "a list" if is_list else "a group of settings")


def require(condition: bool, sentence: str) -> None:
    """Raises `InputError` with the sentence unless the condition holds."""
    if not condition:
        raise InputError(sentence)


def require_positive(settings: Any, *names: str) -> None:
    """Raises `InputError` unless the named attributes are above 0."""
    for name in names:
        require(getattr(settings, name) > 0, f"{name} must be positive")
