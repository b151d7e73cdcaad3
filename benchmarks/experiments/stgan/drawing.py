"""Curves and a table of run.py's report."""

from pathlib import Path

import matplotlib.figure

from stgan_jax.util import files

NATURAL = {
    "leg_amplitude_ratio": "swing of the legs that is kept",
    "distance_to_real": "distance to the nearest real silhouette (less is more natural)",
}


def curves(report: dict, path: Path, measure: str) -> None:
    """Success against a measure of naturalness, a curve a family, each view and all together."""
    families: dict[str, list] = {}
    for method in report["methods"][1:]:
        families.setdefault(method["name"].rsplit(" ", 1)[0], []).append(method)
    views = report["views"]
    columns = 4
    figure = matplotlib.figure.Figure(
        figsize=(3.2 * columns, 2.9 * -(-(len(views) + 1) // columns)), layout="constrained"
    )
    axes = figure.subplots(
        -(-(len(views) + 1) // columns), columns, squeeze=False, sharex=True, sharey=True
    ).ravel()
    for axis in axes[len(views) + 1 :]:
        axis.remove()
    attack = report["attacks"][0]
    for axis, view in zip(axes, [None, *views], strict=False):
        for name, group in families.items():
            points = []
            for method in sorted(group, key=lambda m: m["alpha"]):
                natural = method["naturalness"]
                natural = natural["by_view"][str(view)] if view is not None else natural["measures"]
                found = [
                    by["conditions"]["nm"]["rank1"]["by_view"][str(view)]
                    if view is not None
                    else by["conditions"]["nm"]["rank1"]["accuracy"]
                    for by in method["privacy"][attack].values()
                ]
                points.append((natural[measure], 1 - max(found)))
            axis.plot(*zip(*points, strict=True), "o-", markersize=3, label=name)
        axis.set(title="mean of views" if view is None else f"{view} degrees", ylim=(0, 1.02))
        axis.grid(alpha=0.3)
    figure.supxlabel(NATURAL[measure])
    figure.supylabel(f"success against the strongest recogniser, {attack}")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
    with files.replacing(path) as beside:
        figure.savefig(beside, dpi=100)


def table(report: dict, path: Path) -> None:
    """A row a method: rank-1 of normal walks by attack and recogniser, and naturalness."""
    rows = []
    for method in report["methods"]:
        row = {"method": method["name"], "alpha": method["alpha"]}
        for attack, by in method["privacy"].items():
            for name, each in by.items():
                row[f"{attack} {name}"] = round(each["conditions"]["nm"]["rank1"]["accuracy"], 4)
        measures = method["naturalness"]["measures"]
        row |= {k: None if v is None else round(v, 4) for k, v in measures.items()}
        if "recovery" in method:
            row |= {f"recovery {k}": round(v, 3) for k, v in method["recovery"]["pixels"].items()}
        rows.append(row)
    files.write_table(path, rows)
