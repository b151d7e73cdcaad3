"""Nested plain values -> dataclasses, every one checked: what a config file may say."""

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any

from stgan_jax.errors import InputError


def build(cls: Any, values: Mapping[str, Any], path: str) -> Any:
    """A dataclass of nested plain values, `path` being what they are called in errors.

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
            value = float(value) if hint is float and type(value) is int else value
            wanted = tuple(typing.get_origin(t) or t for t in _options(hint))
            require(
                isinstance(value, wanted) and isinstance(value, bool) <= (bool in wanted),
                f"{path}.{name} must be {_called(hint)}, not {value!r}",
            )
            kwargs[name] = value
    missing = [
        name for name, field in fields.items()
        if name not in kwargs and field.default is dataclasses.MISSING
    ]  # fmt: skip
    if missing:
        raise InputError(f"{path}: {', '.join(missing)} must be set")
    return cls(**kwargs)


def _options(hint) -> tuple:
    union = isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union
    return typing.get_args(hint) if union else (hint,)


def _called(hint) -> str:
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
    return names.get(hint, "a list" if typing.get_origin(hint) is tuple else "a group of settings")


def require(condition: bool, sentence: str) -> None:
    """Raises `InputError` with the sentence unless the condition holds."""
    if not condition:
        raise InputError(sentence)


def require_positive(settings: Any, *names: str) -> None:
    """Raises `InputError` unless the named attributes are above 0."""
    for name in names:
        require(getattr(settings, name) > 0, f"{name} must be positive")
