"""The shape of the code: imports go downwards, nothing is too long. Read with ast, never run."""

import ast
from collections import Counter
from pathlib import Path

from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

ROOT = Path(__file__).parents[1]
ORDER = "util < shapes ops < media < training < data < methods < video evaluation < study < demo"
RANKS = {name: rank for rank, names in enumerate(ORDER.split(" < ")) for name in names.split()}
FILES = {str(p.relative_to(ROOT)): p.read_text() for p in sorted(ROOT.glob("stgan_jax/**/*.py"))}
TREES = {f[:-3].replace("/", ".").removesuffix(".__init__"): ast.parse(FILES[f]) for f in FILES}


def nodes(*kinds):
    return [(m, n) for m, tree in TREES.items() for n in ast.walk(tree) if isinstance(n, kinds)]


def imports():
    """(Module, what it or a function in it imports, whether for annotations alone)."""
    guards = [node for _, node in nodes(ast.If) if "TYPE_CHECKING" in ast.dump(node.test)]
    guarded = {inner for node in guards for inner in ast.walk(node)}
    for module, node in nodes(ast.Import, ast.ImportFrom):
        base = getattr(node, "module", None)
        for alias in node.names:
            name = f"{base}.{alias.name}" if base else alias.name
            yield module, base if base in TREES and name not in TREES else name, node in guarded


def folder(module):
    return module.split(".")[1] if "." in module else ""  # of the package's own __init__


def test_folders_import_lower_ranks_alone():
    arrows = {(folder(a), folder(b)) for a, b, _ in imports() if b in TREES}
    arrows = {(a, b) for a, b in arrows if a and b and a != b}
    assert len(arrows) > 20
    assert not [(a, b) for a, b in arrows if RANKS[a] <= RANKS[b]]


def test_no_module_imports_itself_by_way_of_others():
    places = {module: number for number, module in enumerate(TREES)}
    pairs = [(places[a], places[b]) for a, b, guarded in imports() if b in TREES and not guarded]
    matrix = coo_array(([1] * len(pairs), tuple(zip(*pairs, strict=True))), [len(TREES)] * 2)
    _, circle = connected_components(matrix, connection="strong")
    assert not [m for m, k in zip(TREES, circle, strict=True) if list(circle).count(k) > 1]


def test_tensorflow_stays_in_data_and_flags_stay_in_launchers():
    for module, name, _ in imports():
        assert folder(module) == "data" or not name.startswith("tensorflow"), module
        assert not name.startswith("ml_collections"), module
        # Which words what absl's parser rejects.
        assert module == "stgan_jax.util.errors" or not name.startswith("absl.flags"), module


def test_what_is_long_says_why():
    for pattern, most in (("stgan_jax/**/*.py", 400), ("launch/*.py", 64)):
        assert not [p for p in ROOT.glob(pattern) if len(p.read_text().splitlines()) > most]
    assert {path.stem for path in ROOT.glob("stgan_jax/*.py")} == {"__init__", "demo"}
    for module, node in nodes(ast.FunctionDef, ast.AsyncFunctionDef):
        every = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        count = sum(argument.arg not in ("self", "cls") for argument in every)
        reason, length = ast.get_docstring(node) or "", node.end_lineno - node.lineno + 1
        assert length <= 80 or "Long because" in reason, f"{module}.{node.name}: {length}"
        assert count <= 7 or "Many arguments because" in reason, f"{module}.{node.name}: {count}"


def test_names_are_of_one_thing_and_kinds_are_known_to_the_catalogue_alone():
    assert not [(m, n.lineno) for m, n in nodes(ast.Assign) if isinstance(n.value, ast.Lambda)]
    classes = Counter(n.name for _, n in nodes(ast.ClassDef) if not n.name.startswith("_"))
    assert not [name for name, count in classes.items() if count > 1]
    for module, node in nodes(ast.Call):
        if getattr(node.func, "id", "") == "isinstance" and module != "stgan_jax.methods.catalog":
            asked = {getattr(n, "id", getattr(n, "attr", "")) for n in ast.walk(node.args[1])}
            assert not [n for n in asked - {"Anonymizer"} if n.endswith(("Settings", "Anonymizer"))]
