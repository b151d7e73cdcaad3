"""The summary of an archive as a page."""

import html
from collections.abc import Mapping, Sequence
from typing import Any

from stgan_jax.video.archive.summary import why

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto;
  padding: 0 1rem; }
h1 { margin-bottom: 0; } p.where { color: #555; margin-top: .2rem; }
.tiles { display: grid; grid-template-columns: repeat(auto-fill, minmax(10rem, 1fr)); gap: .8rem;
  margin: 1.2rem 0; }
.tiles div { background: #f2f2f2; border-radius: .4rem; padding: .6rem 1rem; }
.tiles b { display: block; font-size: 1.6rem; font-weight: 600; }
.tiles .bad { background: #fbe3e1; } .tiles .warn { background: #fff3cd; }
table { border-collapse: collapse; margin: 1rem 0; width: 100%; }
th, td { border-bottom: 1px solid #ddd; padding: .25rem .6rem; text-align: right; }
th:first-child, td:first-child { text-align: left; overflow-wrap: anywhere; min-width: 14rem; }
.why { text-align: left; } thead { background: #f2f2f2; }
tr.bad td { background: #fbe3e1; } tr.warn td { background: #fff9e5; }
"""
_COUNTS = "frames", "people", "sightings", "covered", "blanked", "seconds"


def page(result: Mapping[str, Any]) -> str:
    """The whole page of a summary, see `summary.build`."""
    clips = result["clips"]
    tiles = [
        ("done", clips["done"], ""),
        ("there already", clips["there_already"], ""),
        ("failed", clips["failed"], "bad" if clips["failed"] else ""),
        ("left", len(result["left"]), "warn" if result["left"] else ""),
        ("people", result["people"], ""),
        ("sightings", result["sightings"], ""),
        ("of them covered", result["covered"], "warn" if result["covered"] else ""),
        ("frames without people", result["blanked"], "warn" if result["blanked"] else ""),
        ("frames a second", f"{result['frames_per_second']:.1f}", ""),
    ]
    boxes = "".join(f'<div class="{kind}"><b>{n}</b>{name}</div>' for name, n, kind in tiles)
    failures = [[row["why"], row["clips"]] for row in result["failures"]]
    left = [[row["path"], row["why"]] for row in result["left"]]
    return f"""<!doctype html>
<html lang="en"><meta charset="utf-8">
<title>Archive: {_text(result["output"])}</title>
<style>{_STYLE}</style>
<h1>{clips["all"]} clips and walks</h1>
<p class="where">{_text(result["input"])} &rarr; {_text(result["output"])}, by
{_text(result["runner"])}, {result["seconds"]:.0f} s</p>
<div class="tiles">{boxes}</div>
{_table("Why clips failed", ["reason", "clips"], failures)}
{_table("Not processed", ["path", "reason"], left)}
<h2>Every clip</h2>
<table><thead><tr><th>input</th>{"".join(f"<th>{name}</th>" for name in _COUNTS)}<th></th></tr>
</thead><tbody>
{"".join(_row(row, result["input"]) for row in result["files"])}</tbody></table>
</html>
"""


def _text(value: Any) -> str:
    # A name may be no text.
    return html.escape(str(value)).encode("ascii", "xmlcharrefreplace").decode()


def _table(title: str, head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    if not rows:
        return ""
    body = "".join(
        f'<tr><td>{_text(row[0])}</td><td class="why">{_text(row[1])}</td></tr>\n' for row in rows
    )
    heads = "".join(f'<th class="why">{name}</th>' for name in head)
    return f"""<h2>{title}</h2>
<table><thead><tr>{heads}</tr></thead><tbody>
{body}</tbody></table>"""


def _row(row: Mapping[str, Any], folder: str) -> str:
    kind = {0: "", 3: "warn"}.get(row["exit_code"], "bad")
    name = row["input"].removeprefix(folder.rstrip("/") + "/")
    cells = "".join(f"<td>{row.get(name, '')}</td>" for name in _COUNTS)
    notes = [why(row)] if "error" in row else []
    notes += [f"tried again after: {text}" for text in row.get("retried", ())]
    notes += ["there already"] if "skipped" in row else []
    return (
        f'<tr class="{kind}"><td>{_text(name)}</td>{cells}'
        f'<td class="why">{_text("; ".join(notes))}</td></tr>\n'
    )
