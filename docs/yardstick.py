"""Tables of who is still recognised, from the yardstick's reports (docs/protocol.md)."""

import json
from collections.abc import Callable

from figures import BENCHMARKS, number, table

_REPORTS = BENCHMARKS / "experiments" / "yardstick"
_HEADLINE = "habits", "habits_peers"  # of a method that is in both, the first
_KINDS = {
    "unprotected": "unprotected walks",
    "blur": "the whole person blurred",
    "pixelation": "the whole person as large pixels",
    "rhythm": "outlines bent, another rhythm of the steps",
    "key_pose": "another person's frame in the same pose",
    "mean": "one mean silhouette, nobody walks",
    "silhouette": "`silhouette` (2019)",
    "stgan": "`stgan`, alpha 0.8",
    "retarget": "**`retarget`, the default**",
}


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
    methods = {m["name"]: (m, report) for report in reports[::-1] for m in report["methods"]}
    rows = []
    for name, (method, report) in methods.items():
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
        of, people = len(report["recognizers"]), real.get(name, "not measured")
        row = _KINDS[name], text, f"{fused['eer']:.2f}", of, f"{most:.2f} ({by})", people
        rows.append((rank1["accuracy"], row))
    rows.sort(key=lambda one: -one[0])
    head = "what is published", "fused", "EER", "recognisers", "most that any finds", "real people"
    return table(head, (row for _, row in rows))


def _normal(figures: dict) -> dict:
    return figures["conditions"]["nm"]["rank1"]


TABLES: dict[str, Callable[[], str]] = {"headline": headline, "leaderboard": leaderboard}
