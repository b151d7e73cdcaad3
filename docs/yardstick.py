"""Tables of who is still recognised, from the yardstick's reports (docs/protocol.md)."""

import json
from collections.abc import Callable

from figures import BENCHMARKS, number, table

_REPORTS = BENCHMARKS / "experiments" / "yardstick"
_HEADLINE = "walls", "in_a_video"
_KINDS = {
    "unprotected": "unprotected walks",
    "blur": "the whole person blurred",
    "pixelation": "the whole person as large pixels",
    "rhythm": "outlines bent, another rhythm of the steps",
    "key_pose": "another person's frame in the same pose",
    "mean": "one mean silhouette, nobody walks",
    "silhouette": "`silhouette` (2019)",
    "wifs": "WIFS 2017 as printed, 10 epochs",
    "wifs_resampled": "WIFS 2017, other contours, 10 epochs",
    "stgan": "`stgan`, alpha 0.8",
    "retarget": "**`retarget`**, folders that name the view",
    "retarget, view as read": "`retarget`, folders that do not name the view",
    "retarget, in a video": "**`retarget`, in a video**: way and speed stay",
}
_REAL_MATCHING = {
    "nm": "0.98; 0.92 to 0.99",
    "bg": "0.54; 0.30 to 0.75",
    "cl": "0.15; 0.10 to 0.35",
}
# Of 40 people of CASIA-B, once, by the package's reader.
_REAL_NUMBERS = {"all": ("0.64", "0.65"), "cadence": ("0.19", "0.13"), "view": ("0.14", "0.06")}


def leaderboard() -> str:
    """Every method of the yardstick's reports, the most private first."""
    rows, names = [], []
    for path in sorted(_REPORTS.glob("*.json")):
        report = json.loads(path.read_text())
        names += [name for name in report["recognizers"] if name not in names]
        views = ", ".join(f"{view}°" for view in report["views"])
        for method in report["methods"]:
            for attack in ("semi-informed", "clean"):
                if attack in method["privacy"]:
                    by = method["privacy"][attack]
                    rows.append((by, method, f"{report['dataset']}, {views}", report["size"]))
                    break

    def rank1(figures: dict) -> str:
        one = _normal(figures)
        return "{:.3f} [{:.3f}, {:.3f}]".format(one["accuracy"], *one["interval"])

    def cells(by: dict, method: dict, walks: str, size: str) -> list[str]:
        ignorant = method["privacy"].get("ignorant", {}).get("fused")
        alone = (number(_normal(by[name])["accuracy"]) if name in by else "" for name in names)
        fused = f"**{rank1(by['fused'])}**", number(by["fused"]["eer"], 2)
        return [method["name"], *fused, *alone, rank1(ignorant) if ignorant else "", walks, size]

    most = {(row[1]["name"], row[2]): row for row in sorted(rows, key=lambda row: len(row[0]))}
    rows = list(most.values())  # of several reports the one with most recognisers
    rows.sort(key=lambda row: _normal(row[0]["fused"])["accuracy"])
    head = ("method", "**fused, semi-informed**", "EER", *(f"`{name}`" for name in names))
    return table((*head, "fused, ignorant", "walks", "networks"), (cells(*row) for row in rows))


def headline() -> str:
    """What attackers find behind each method, the least private first."""
    reports = [json.loads((_REPORTS / f"{name}.json").read_text()) for name in _HEADLINE]
    real = json.loads((BENCHMARKS / "results/real_people.json").read_text())["methods"]
    rows = []
    methods = {method["name"]: method for report in reports for method in report["methods"]}
    for name, method in methods.items():
        attacks = method["privacy"]
        fused = (attacks.get("semi-informed") or attacks["clean"])["fused"]
        cells = [
            (_normal(figures)["accuracy"], f"`{recogniser}`, {attack}")
            for attack, by in attacks.items()
            for recogniser, figures in by.items()
        ]
        most, by = max(cells)
        rank1 = _normal(fused)
        text = "{:.2f} [{:.2f}, {:.2f}]".format(rank1["accuracy"], *rank1["interval"])
        people = real.get(name, "not measured")
        row = _KINDS[name], text, f"{fused['eer']:.2f}", f"{most:.2f} ({by})", people
        rows.append((rank1["accuracy"], row))
    rows.sort(key=lambda one: -one[0])
    head = "what is published", "fused", "EER", "most that any finds", "real people"
    return table(head, (row for _, row in rows))


def calibration_matching() -> str:
    """Plain matching of energy images, beside a real copy of CASIA-B."""
    matching = _calibration()["matching"]
    views = list(matching["nm"]["by_view"])
    rows = []
    for condition, real in _REAL_MATCHING.items():
        one = matching[condition]
        same, other = (f"{one[which]:.2f}" for which in ("same_view", "other_views"))
        rows.append(
            (condition, same, real, " / ".join(f"{one['by_view'][v]:.2f}" for v in views), other)
        )
    degrees = " / ".join(f"{view}°" for view in views)
    head = "probes", "same view", "CASIA-B, 11 views: a copy; published", degrees, "other views"
    return table(head, rows)


def calibration_numbers() -> str:
    """What `gait_numbers` finds of unprotected walks, beside what it finds of people."""
    found = _calibration()["gait_numbers"]
    rows = []
    for name in found["54"]:
        real = (f" ({value})" for value in _REAL_NUMBERS.get(name, ()))
        both = (f"{found[view][name]:.2f}{next(real, '')}" for view in ("54", "90"))
        rows.append((name, *both))
    return table(("read of the walk", "54° (people)", "90° (people)"), rows)


def _calibration() -> dict:
    return json.loads((BENCHMARKS / "results/calibration.json").read_text())


def _normal(figures: dict) -> dict:
    return figures["conditions"]["nm"]["rank1"]


TABLES: dict[str, Callable[[], str]] = {
    "headline": headline,
    "leaderboard": leaderboard,
    "calibration-matching": calibration_matching,
    "calibration-numbers": calibration_numbers,
}
