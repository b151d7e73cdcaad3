"""Writes the tables of the documents from the code and from the figures that were measured:

    python docs/tables.py [--check]

A page says where a table goes: `<!-- NAME:begin -->` and `<!-- NAME:end -->`, NAME being one of
`TABLES`. With --check nothing is written, and a table that differs from its source is an error.
"""

import argparse
import dataclasses
import importlib
import inspect
import os
import pkgutil
import re
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import figures
import speeds
import yardstick
from figures import table

import stgan_jax
from stgan_jax import methods
from stgan_jax.data import selection
from stgan_jax.training.settings import RunSettings

DOCS = Path(__file__).parent
PACKAGE = Path(stgan_jax.__file__).parent


def meanings(cls: type) -> dict[str, str]:
    """Attribute -> its text in the class's docstring, or in that of a class it inherits from."""
    found: dict[str, str] = {}
    for one in reversed(cls.__mro__):
        _, _, section = inspect.cleandoc(one.__doc__ or "").partition("Attributes:\n")
        section = re.split(r"\n(?=\S)", section)[0]
        for entry in re.split(r"\n(?=  \S)", "\n" + section)[1:]:
            names, _, text = " ".join(entry.split()).partition(": ")
            found |= dict.fromkeys(names.split(", "), text[:1].upper() + text[1:])
    return found


def plain_type(annotation: Any) -> str:
    """How a setting's type is written in a table."""
    name = annotation.__name__ if isinstance(annotation, type) else str(annotation)
    name = str(annotation) if "[" in str(annotation) else name
    return f"`{re.sub(r'[a-z_]+[.]', '', name)}`"


def plain_default(field: dataclasses.Field) -> str:
    """A setting's default value, shortened if it is a range."""
    if field.default_factory is not dataclasses.MISSING:
        return f"`{plain_type(field.type)[1:-1]}()`"
    if field.default is dataclasses.MISSING:
        return "required"
    value = field.default
    if isinstance(value, tuple) and len(value) > 6:
        return f"`({value[0]!r}, {value[1]!r}, ..., {value[-1]!r})`"
    return f"`{value!r}`"


def settings_table(cls: type, base: type | None = None) -> str:
    """Every field of a settings class, or those that differ from its base's."""
    texts = meanings(cls)
    known = {field.name: field for field in dataclasses.fields(base)} if base else {}
    rows = []
    for field in dataclasses.fields(cls):
        one = [f"`{field.name}`", plain_type(field.type), plain_default(field)]
        if (same := known.get(field.name)) and plain_default(same) == one[2]:
            continue
        if not texts.get(field.name):
            raise ValueError(f"{cls.__name__}.{field.name}: say what it means in the docstring")
        rows.append([*one, texts[field.name]])
    return table(("setting", "type", "default", "meaning"), rows)


def kinds() -> dict[str, type[RunSettings]]:
    """Kind of training -> its settings, as the folders of `methods` have them."""
    found = {}
    for module in pkgutil.walk_packages(methods.__path__, "stgan_jax.methods."):
        if module.name.endswith(".settings"):
            for one in vars(importlib.import_module(module.name)).values():
                if inspect.isclass(one) and issubclass(one, RunSettings) and "kind" in vars(one):
                    found[one.kind] = one
    return found


def flags_table() -> str:
    """Every flag of `stgan-anonymize`."""
    from stgan_jax.video import cli

    rows = []
    for action in cli._parser()._actions[1:]:  # all but --help
        names = ", ".join(f"`{name}`" for name in action.option_strings) or f"`{action.metavar}`"
        kind = getattr(action.type, "__name__", "text")
        if action.nargs == 0:
            kind = "switch"
        if action.choices:
            kind = ", ".join(f"`{choice}`" for choice in action.choices)
        default = "" if action.default in (None, [], False, argparse.SUPPRESS) else action.default
        default = f"`{default}`" if default != "" and kind != "switch" else ""
        rows.append([names, kind, default, action.help or ""])
    return table(("flag", "type", "default", "meaning"), rows)


def modules(folder: str) -> str:
    """A block for each module of a folder that has something in it."""
    blocks = []
    for path in sorted((PACKAGE / folder).rglob("*.py")):
        if path.read_text().strip():
            parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
            parts = tuple(part for part in parts if part != "__init__")
            block = "::: " + ".".join(parts)
            if len(parts) > 3:  # stgan_jax, the folder, and a folder in it
                block += f"\n    options:\n      toc_label: {'.'.join(parts[2:])}"
            blocks.append(block)
    return "\n\n".join(blocks)


def kind_table(kind: str) -> str:
    """The settings of a kind, but for those that every training has."""
    return settings_table(kinds()[kind], RunSettings)


FOLDERS = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))
TABLES: dict[str, Callable[[], str]] = {
    "flags": flags_table,
    "settings-run": partial(settings_table, RunSettings),
    "settings-walkers": partial(settings_table, selection.WalkerData),
    "settings-rendered": partial(settings_table, selection.RenderedData),
    "settings-frames": partial(settings_table, selection.ColorData),
    **{f"settings-{kind}": partial(kind_table, kind) for kind in kinds()},
    **{f"modules-{folder}": partial(modules, folder) for folder in FOLDERS},
    **figures.TABLES,
    **yardstick.TABLES,
    **speeds.TABLES,
}


def main() -> int:
    """Writes or checks the tables of all pages."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="Fail where a table is stale.")
    check = parser.parse_args().check
    stale, used = [], set()
    for page in [DOCS.parent / "README.md", *sorted(DOCS.rglob("*.md"))]:
        text = before = page.read_text()
        for name in re.findall(r"<!-- ([\w-]+):begin -->", text):
            used.add(name)
            begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
            head, _, rest = text.partition(begin)
            text = f"{head}{begin}\n{TABLES[name]()}\n{end}{rest.partition(end)[2]}"
        if text != before:
            stale.append(os.fspath(page.relative_to(DOCS.parent)))
            if not check:
                page.write_text(text)
    if missing := sorted(TABLES.keys() - used):
        print(f"on no page: {', '.join(missing)}")
    if stale:
        print(f"{'stale' if check else 'written'}: {', '.join(stale)}")
    if check and stale:
        print("error: run python docs/tables.py", file=sys.stderr)
    return int(bool(missing) or (check and bool(stale)))


if __name__ == "__main__":
    sys.exit(main())
