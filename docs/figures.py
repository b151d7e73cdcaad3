"""Tables of what was measured, from the files that the measuring scripts wrote."""

import csv
import functools
import json
import re
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
Row = dict[str, str]

ATTACKS = ("ignorant", "lazy-informed", "semi-informed")
RECOGNIZERS = ("gei", "zheng", "set_network", "wu")
MEASURES = (
    "one_piece", "self_crossing", "head_roughness", "change_ratio", "flicker",
    "leg_amplitude_ratio", "period_ratio", "distance_to_real", "frame_score",
)  # fmt: skip
_TELLING = "people's pixels"
_DIGITS = {"flicker": 4, "one_piece": 4}
_RANK1 = ("rank1", "rank1_low", "rank1_high")


def table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """A table in Markdown; `|` in cells is escaped."""
    lines = [[str(cell).replace("|", "\\|") for cell in row] for row in [head, *rows]]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


@functools.cache
def rows_of(name: str) -> tuple[Row, ...]:
    """Rows of a CSV file of the experiments."""
    with open(BENCHMARKS / "experiments" / name, newline="") as file:
        return tuple(csv.DictReader(file))


def number(value: str | float, digits: int = 3) -> str:
    """A figure, or nothing where nothing was measured."""
    return "" if value == "" else f"{float(value):.{digits}f}"


def interval(row: Row, digits: int = 3, names: tuple[str, str, str] = ("rank1", "low", "high")):
    """A figure with its 95 % interval."""
    value, low, high = (number(row[name], digits) for name in names)
    return f"{value} [{low}, {high}]"


def attacks_table(name: str, method: str) -> str:
    """Normal walks, all views: rank-1 with 95 % interval; EER; D_sys."""
    cells: dict[tuple[str, str], Row] = {}
    for row in rows_of(name):
        pooled = row["view"] == "all" and row["condition"] == "nm"
        if pooled and row["method"] in (method, "unprotected"):
            cells[row["recognizer"], row["attack"]] = row

    def cell(recognizer: str, attack: str) -> str:
        row = cells.get((recognizer, attack))
        if row is None:
            return ""
        error, linkability = number(row["eer"], 2), number(row["linkability"], 2)
        return f"{interval(row, 3, _RANK1)}; {error}; {linkability}"

    columns = ("clean", *ATTACKS)
    known = [r for r in RECOGNIZERS if any(r == recognizer for recognizer, _ in cells)]
    rows = [[f"`{r}`", *(cell(r, attack) for attack in columns)] for r in known]
    return table(("recogniser", *columns), rows)


def naturalness_table() -> str:
    """Naturalness of recorded and of retargeted walks, mean over views."""
    found: dict[str, Row] = {}
    for row in rows_of("retarget/naturalness.csv"):
        if row["view"] == "all":
            found.setdefault(row["method"], {})[row["measure"]] = row["value"]
    rows = [
        [method, *(number(figures[m], _DIGITS.get(m, 3)) for m in MEASURES)]
        for method, figures in found.items()
    ]
    return table(("walks", *(f"`{measure}`" for measure in MEASURES)), rows)


def naturalness_by_view(method: str) -> str:
    """Naturalness of one method of `naturalness.csv` by view."""
    found: dict[str, dict[str, str]] = {}
    for row in rows_of("retarget/naturalness.csv"):
        if row["method"] == method:
            found.setdefault(row["measure"], {})[row["view"]] = row["value"]
    views = sorted((view for view in found["one_piece"] if view != "all"), key=int)
    rows = [
        [f"`{m}`", *(number(found[m][view], 3 if m == "flicker" else 2) for view in views)]
        for m in MEASURES
    ]
    return table(("measure", *(f"{view}°" for view in views)), rows)


def curves_table(head: dict[str, str], digits: int = 3) -> str:
    """Columns of `stgan/curves.csv`: title -> column, or several with ` / ` between them."""
    rows = []
    for row in rows_of("stgan/curves.csv"):
        cells = [
            " / ".join(number(row[column], digits) or "-" for column in columns.split(" / "))
            for columns in head.values()
        ]
        if any(re.search(r"\d", cell) for cell in cells):
            rows.append([row["method"], *cells])
    return table(("method and alpha", *head), rows)


def plain_table(name: str, head: dict[str, str | tuple[str, int]]) -> str:
    """Columns of a CSV file: title -> column, with its number of digits if it is a figure."""
    rows = [
        [
            row[c] if isinstance(c, str) else number(row[c[0]], c[1])
            for c in head.values()
        ]
        for row in rows_of(name)
    ]  # fmt: skip
    return table(head, rows)


def linking_table() -> str:
    """Two runs on one recording, by recogniser."""
    found: dict[str, list[str]] = {}
    for row in rows_of("retarget/linking.csv"):
        pairs = round(6 * float(row["pairs_at_chance"]))
        text = f"{interval(row, 3, _RANK1)}; {number(row['eer'], 2)}; {pairs}"
        found.setdefault(row["walks"], []).append(text)
    return table(
        ("walks", "`gei`", "`zheng`", "`set_network`"), ([k, *v] for k, v in found.items())
    )


def numbers_by_key() -> str:
    """Single numbers of published walks, over many keys."""
    found = json.loads((BENCHMARKS / "experiments/retarget/keys.json").read_text())["found"]
    rows = []
    for name, one in found.items():
        low, high = (number(end) for end in one["interval"])
        rows.append([name, f"{number(one['rank1'])} [{low}, {high}]"])
    return table(("read of the walk", "found, rank-1"), rows)


def linear_mix_views() -> str:
    """Rank-1 where the gallery's view is another one than the probe's."""
    found: dict[tuple[str, str], list[float]] = {}
    for row in rows_of("linear_mix/views.csv"):
        if row["probe_view"] != row["gallery_view"]:
            found.setdefault((row["recognizer"], row["attack"]), []).append(float(row["rank1"]))

    def cell(recognizer: str, attack: str) -> str:
        values = found.get((recognizer, attack))
        return number(sum(values) / len(values), 2) if values else ""

    columns = ("clean", *ATTACKS)
    rows = [[f"`{r}`", *(cell(r, attack) for attack in columns)] for r in RECOGNIZERS]
    return table(("recogniser", *columns), rows)


def opengait_table() -> str:
    """Walks as 64x64 silhouettes."""
    rows = []
    for row in rows_of("retarget/opengait.csv"):
        cells = [
            f"{interval(row, 3, (name, f'{name} low', f'{name} high'))}; "
            f"{number(row[f'{name} eer'], 2)}"
            for name in ("gei", "zheng")
        ]
        rest = [
            number(row[m]) for m in ("one_piece", "leg_amplitude_ratio", "period_ratio", "flicker")
        ]
        rows.append([row["attack"], *cells, *rest])
    head = ("attacker", "`gei`", "`zheng`", "one piece", "swing", "period", "flicker")
    return table(head, rows)


def pose_table() -> str:
    """Errors of joint angles and view, mean over views."""
    rows = [
        [row["walks"], *(number(row[name], 2) for name in ("hip", "knee", "view"))]
        for row in rows_of("retarget/pose.csv")
        if row["seen_from"] == "all"
    ]
    return table(("walks", "hip, degrees", "knee, degrees", "view, degrees"), rows)


def by_recognizer(attack: str) -> str:
    """The columns of an attack in `stgan/curves.csv`."""
    return " / ".join(f"{attack} {recognizer}" for recognizer in RECOGNIZERS)


_NATURAL = {
    "one piece": "one_piece", "crossing": "self_crossing", "head roughness": "head_roughness",
    "change": "change_ratio", "flicker": "flicker", "leg swing": "leg_amplitude_ratio",
    "period": "period_ratio", "distance to real": "distance_to_real",
    "frame score": "frame_score",
}  # fmt: skip
_RECOVERY = {
    "published": "recovery untouched", "computed back": "recovery recovered",
    "mean of the moment": "recovery mean_pose",
}  # fmt: skip
_TRADE = {
    "method": "method", "`gei`": ("gei", 3), "`zheng`": ("zheng", 3), "leg swing": ("swing", 2),
    "whole and uncrossed": ("whole", 2), "flicker": ("flicker", 3),
    "distance to real": ("distance_to_real", 3),
}  # fmt: skip
_WEIGHTS = {
    "weights": "method", "`gei`": ("rank1 gei", 3), "`zheng`": ("rank1 zheng", 3),
    "`set_network`": ("rank1 set_network", 3), "95 % of the worst": "interval of the worst",
    "one piece": ("one_piece", 3), "crossing": ("self_crossing", 3),
    "head roughness": ("head_roughness", 2), "flicker": ("flicker", 3),
    "leg swing": ("leg_amplitude_ratio", 2), "period": ("period_ratio", 2),
}  # fmt: skip
_ABLATION = {
    "row": "method", "`gei`": ("ignorant gei", 3), "`zheng`": ("ignorant zheng", 3),
    "one piece": ("one_piece", 3), "crossing": ("self_crossing", 3),
    "flicker": ("flicker", 4), "leg swing": ("leg_amplitude_ratio", 2),
}  # fmt: skip


def hard_scenes() -> str:
    """How people are found in hard rendered scenes, before and now."""
    before, now = (
        json.loads((BENCHMARKS / "results" / f"people_{name}.json").read_text())["kinds"]
        for name in ("before", "now")
    )
    names = {
        "recall": 3, "false people a frame": 3, "outline IoU": 3, "feet IoU": 3, "switches": 0,
        "share shown": 4, "share changed": 4,
    }  # fmt: skip

    def cell(kind: str, name: str, digits: int) -> str:
        values = [rows.get(kind, {}).get(name) for rows in (before, now)]
        texts = ["-" if value is None else f"{value:.{digits}f}" for value in values]
        if before.get(kind, {}).get("refused") and name == "recall":
            texts[0] = "refused"
        return " -> ".join(texts)

    rows = [[kind, *(cell(kind, *name) for name in names.items())] for kind in now]
    return table(["scenes", *names], rows)


def moving_cameras() -> str:
    """What is behind people before a camera that moves, and how their feet stand."""
    stored = measured("moving.json")
    rows = []
    for name, row in stored["scenes"].items():
        area = max((part["area"] for part in row["made_up"]), default=0.0)
        counts = (row[f"shown{how}"] for how in ("", " by chance", " in patches"))
        shown = f"{' / '.join(map(str, counts))} of {row[_TELLING] / 1e6:.2f} million"
        left = f"{row['not hidden']} / {row['not hidden, unlike']}"
        rows.append([
            name.split()[0], row["camera"], f"{row['psnr']:.1f}", left, shown,
            f"{row['slip']:.3f}", f"{area:.4f}", f"{row['changed'] / row['outside']:.5f}",
        ])  # fmt: skip
    left = "their pixels not hidden / unlike the scene"
    shown = "as in the original / by chance / in patches"
    head = ("camera", "taken for", "PSNR behind people, dB", left, shown,
            "slip of a standing foot", "most made up", "changed elsewhere")  # fmt: skip
    return table(head, rows)


def moving_clip() -> str:
    """Who is found in a real clip as if hands held the camera, and as if they did not move."""
    clip = measured("moving.json")["clip"]
    rows = []
    for what in ("tracks", "sightings", "covered"):
        texts = [", ".join(map(str, clip[how][what])) for how in ("steady", "shaken")]
        rows.append([what if what != "covered" else "covered throughout", texts[0], "", texts[1]])
    more = {
        "at one place (intersection over union of 0.5)": "at one place",
        "of them in tracks that go together": "of the same",
        "people of whom more than half of the frames are in one track":
            "people of whom more than half is the same",
        "their new bodies' colours differ by, of 255": "colours differ by",
    }  # fmt: skip
    for title, name in more.items():
        row = [title]
        for pairs in ("both steady", "steady and shaken", "both shaken"):
            values = [pair[name] for pair in clip[pairs]]
            row.append(f"{fmean(values):.1f} ({min(values)} to {max(values)})")
        rows.append(row)
    return table(("", "steady", "steady and shaken", "shaken"), rows)


def real_clips() -> str:
    """How people are found in real clips, beside what was counted by eye."""
    clips = measured("footage.json")
    names = list(next(iter(clips.values())))
    return table(
        ["clip", *names], [[name, *(f"{row[n]:.4g}" for n in names)] for name, row in clips.items()]
    )


def archive_table() -> str:
    """Rates of an archive by one process and by two, by turns, and of a shell loop."""
    result = measured("archive.json")
    keys = "clips_per_second", "warm_clips_per_second", "processor_seconds_per_clip"
    named = {
        "loop": "a shell loop over the command",
        "one process, turn": "one process",
        "one process, half": "one process on one of the two cores",
        "two processes": "two processes",
    }
    rows = []
    for start, text in named.items():
        turns = [part for name, part in result.items() if name.startswith(start)]
        if not turns:
            continue
        values = [[number(turn.get(key, ""), 2) for turn in turns] for key in keys]
        rows.append((text, turns[0]["clips"], *(", ".join(filter(None, v)) for v in values)))
    head = "", "clips", "clips a second, turn by turn", "warm", "processor seconds a clip"
    return table(head, rows)


def review_table() -> str:
    """How long a reviewer waits."""
    found = measured("review.json")
    waits, whole = found["seconds_after_a_decision"], found["whole_run_seconds"]
    names = {"hide": "a region that is never shown", "add": "an added person"}
    rows = [
        [f"{names[name]}, {found['concerned']} frames", f"{wait:.2f}", number(wait / whole)]
        for name, wait in waits.items()
    ]
    rows.append(
        [
            "the first rendering, before the page opens",
            f"{found['first_rendering_seconds']:.1f}",
            "",
        ]
    )
    rows.append([f"the whole run, {found['frames']} frames", f"{whole:.1f}", "1"])
    seek = found["seek_seconds"]
    rows.append(["a frame of 1920 x 1080 that is asked for, median", f"{seek['median']:.3f}", ""])
    rows.append(["the longest of these", f"{seek['most']:.3f}", ""])
    return table(("", "seconds", "of the whole run"), rows)


def measured(name: str) -> Any:
    """A JSON file of benchmarks/results."""
    return json.loads((BENCHMARKS / "results" / name).read_text())


TABLES: dict[str, Callable[[], str]] = {
    "archive": archive_table,
    "review": review_table,
    "hard-scenes": hard_scenes,
    "real-clips": real_clips,
    "moving-cameras": moving_cameras,
    "moving-clip": moving_clip,
    "retarget-before": partial(attacks_table, "retarget/privacy.csv", "seed 0"),
    "retarget-naturalness": naturalness_table,
    "retarget-views": partial(naturalness_by_view, "seed 0"),
    "retarget-linking": linking_table,
    "retarget-numbers": numbers_by_key,
    "retarget-opengait": opengait_table,
    "retarget-pose": pose_table,
    "trade": partial(plain_table, "retarget/corner.csv", _TRADE),
    "stgan-privacy": partial(attacks_table, "stgan/privacy.csv", "stgan"),
    "stgan-curves": partial(curves_table, {attack: by_recognizer(attack) for attack in ATTACKS}),
    "stgan-naturalness": partial(curves_table, _NATURAL),
    "stgan-recovery": partial(curves_table, _RECOVERY, 1),
    "stgan-weights": partial(plain_table, "stgan/weights.csv", _WEIGHTS),
    "stgan-ablation": partial(plain_table, "stgan/ablation.csv", _ABLATION),
    "linear-mix": partial(attacks_table, "linear_mix/privacy.csv", "linear mix 0.3"),
    "linear-mix-views": linear_mix_views,
}
