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
    """What the strongest attacker finds behind each method, the least private first."""
    reports = [json.loads((_REPORTS / f"{name}.json").read_text()) for name in _HEADLINE]
    real = json.loads((BENCHMARKS / "results/real_people.json").read_text())["methods"]
    rows = []
    methods = {m["name"]: (m, report) for report in reports[::-1] for m in report["methods"]}
    for method, report in methods.values():
        by = method["privacy"].get("semi-informed") or method["privacy"]["clean"]
        alone = {
            name: _normal(figures)["accuracy"] for name, figures in by.items() if name != "fused"
        }
        best = max(alone, key=lambda name: alone[name])
        fused = _normal(by["fused"])
        cells = "{:.2f} [{:.2f}, {:.2f}]".format(fused["accuracy"], *fused["interval"])
        rows.append(
            (
                fused["accuracy"],
                _KINDS[method["name"]],
                cells,
                f"{by['fused']['eer']:.2f}",
                len(report["recognizers"]),
                f"{alone[best]:.2f} (`{best}`)",
                real.get(method["name"], "not measured"),
            )
        )
    rows.sort(key=lambda row: -row[0])
    head = (
        "what is published",
        "fused rank-1",
        "EER",
        "recognisers",
        "the best recogniser alone",
        "real people",
    )
    return table(head, (row[1:] for row in rows))


def _normal(figures: dict) -> dict:
    return figures["conditions"]["nm"]["rank1"]


TABLES: dict[str, Callable[[], str]] = {"headline": headline, "leaderboard": leaderboard}
