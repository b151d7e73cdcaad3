"""What MkDocs does not know of this project: pictures beside the measurements, and paths in text.

Pictures of `benchmarks` are on the site as they lie there: `pictures/` and `experiments/`. A file
or folder that a page names in backticks, a name such as `shapes.contour.encode`, and every relative
link of the documents outside of `docs` has to exist; in a strict build the warning fails.
"""

import logging
import re
from pathlib import Path

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[1]
LOG = logging.getLogger("mkdocs.hooks.paths")
OUTSIDE = ("README.md", "CHANGELOG.md", "benchmarks/**/*.md", "stgan_jax/weights/README.md")
# `configs/stgan.py:static` is a variant of configs/stgan.py.
_NAMED = re.compile(r"`((?:benchmarks|configs|docs|launch|stgan_jax|tests)/[\w./-]*)(?::\w+)?`")
PACKAGE = ROOT / "stgan_jax"
_DOTTED = re.compile(r"`(?:stgan_jax[.])?([a-z_]+(?:[.]\w+)+)`")
_LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")


def _check_names(page: str, text: str) -> None:
    for name in _NAMED.findall(text):
        if not (ROOT / name).exists():
            LOG.warning("%s names %s, which does not exist", page, name)
    for name in _DOTTED.findall(text):
        first, *rest = name.split(".")
        if (PACKAGE / first / "__init__.py").exists() and not _defined(PACKAGE / first, rest):
            LOG.warning("%s names %s, which does not exist", page, name)


def _defined(folder: Path, names: list[str]) -> bool:
    """Whether names lead through folders to a module, and to what is defined in it."""
    for number, name in enumerate(names):
        folder /= name
        if folder.is_dir():
            continue
        module, inside = folder.with_suffix(".py"), names[number + 1 :]
        if not module.exists():
            return False
        code = module.read_text()
        return all(re.search(rf"^\s*((def|class) {x}\b|{x}\b.*[:=])", code, re.M) for x in inside)
    return True


def on_files(files, config):
    """Adds the pictures."""
    benchmarks = ROOT / "benchmarks"
    for folder in ("pictures", "experiments"):
        for path in sorted((benchmarks / folder).rglob("*.[pj][np]g")):
            name = path.relative_to(benchmarks).as_posix()
            files.append(File.generated(config, name, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown, page, **_):
    """Checks the paths that a page names."""
    _check_names(page.file.src_uri, markdown)


def on_pre_build(**_):
    """Checks the documents that are no pages."""
    for pattern in OUTSIDE:
        for path in sorted(ROOT.glob(pattern)):
            text, name = path.read_text(), path.relative_to(ROOT).as_posix()
            if name != "CHANGELOG.md":  # which tells of what there was
                _check_names(name, text)
            for link in _LINK.findall(text):
                if "://" not in link and not (path.parent / link).exists():
                    LOG.warning("%s links to %s, which does not exist", name, link)
