"""Plots of a report's figures, with matplotlib."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from stgan_jax.evaluation import fusion

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# What each measure of naturalness says, and what a faultless walk has.
MEASURES = {
    "one_piece": ("frames in one piece", "1"),
    "self_crossing": ("frames whose contour crosses itself", "0"),
    "roughness": ("roughness of the outline", "1.08-1.12"),
    "head_roughness": ("roughness of the head's outline", "as unprotected"),
    "change_ratio": ("change between frames / original's", "1"),
    "flicker": ("flicker", "0.003-0.008"),
    "leg_amplitude_ratio": ("swing of the legs / original's", "1"),
    "period_ratio": ("gait period / original's", "1"),
    "distance_to_real": ("distance to the nearest real silhouette", "0.06 front, 0.15 side"),
    "frame_score": ("frame score", "as unprotected"),
    "video_score": ("video score", "as unprotected"),
}


def worst(
    method: Mapping[str, Any], attack: str, condition: str = "nm"
) -> tuple[str, Mapping[str, Any]]:
    """The strongest recogniser, and its rank-1 figures."""
    rank1 = {
        name: figures["conditions"][condition]["rank1"]
        for name, figures in method["privacy"][attack].items()
        if condition in figures["conditions"]
    }
    name = max(rank1, key=lambda name: rank1[name]["accuracy"])
    return name, rank1[name]


def headline(method: Mapping[str, Any], attack: str) -> tuple[str, Mapping[str, Any]]:
    """What a method is judged by: all recognisers fused, or the strongest; rank-1 of normal walks.

    Returns:
      the recogniser's name and its `rank1` figures, see `evaluation.report`.
    """
    figures = method["privacy"][attack].get(fusion.NAME, {"conditions": {}})["conditions"]
    if "nm" in figures:
        return fusion.NAME, figures["nm"]["rank1"]
    return worst(method, attack)


def chance(report: Mapping[str, Any]) -> float:
    """Rank-1 accuracy of a guess."""
    return 1 / len(report["subjects"]["test"])


def _axes(rows: int = 1, columns: int = 1, width: float = 5.0, height: float = 3.6):
    # Without pyplot: no window, no state.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, squeeze=False)


def success(report: Mapping[str, Any]) -> "Figure | None":
    """Success rate by view, top-1 and top-3, ignorant attacker (ST-GAN Fig. 11)."""
    protected = [m for m in report["methods"] if "ignorant" in m["privacy"]]
    if not protected:
        return None
    names = report["recognizers"]
    figure, axes = _axes(2, len(names), 4.0, 3.0)
    for row, rank in enumerate(("rank1", "rank3")):
        for axis, name in zip(axes[row], names, strict=True):
            for method in protected:
                figures = method["privacy"]["ignorant"][name]["conditions"]["nm"][rank]
                views = [int(view) for view in figures["success_by_view"]]
                rates = [rate["all"] for rate in figures["success_by_view"].values()]
                axis.plot(views, rates, marker="o", label=method["name"])
            axis.set(title=f"{name}, top-{rank[-1]}", ylim=(-0.03, 1.03), xticks=views)
            axis.tick_params("x", rotation=90)
        axes[row][0].set_ylabel("success rate")
    figure.supxlabel("view, degrees", fontsize=10)
    figure.legend(*axes[0][0].get_legend_handles_labels(), fontsize=8, loc="outside right upper")
    return figure


def attacks(report: Mapping[str, Any]) -> "Figure":
    """Rank-1 by attack, see `headline`, with intervals."""
    figure, axes = _axes(1, 1, max(5.0, 1.5 * len(report["methods"])), 3.8)
    axis = axes[0][0]
    every = ["clean", *report["attacks"]]
    for number, attack in enumerate(every):
        place, value, error = [], [], []
        for i, method in enumerate(report["methods"]):
            if attack in method["privacy"]:
                _, rank1 = headline(method, attack)
                place.append(i + (number - len(every) / 2) * 0.2 if attack != "clean" else i)
                value.append(rank1["accuracy"])
                low, high = rank1["interval"]
                error.append((rank1["accuracy"] - low, high - rank1["accuracy"]))
        if place:
            bars = np.maximum(np.array(error).T, 0)
            axis.bar(place, value, 0.19, label=attack, yerr=bars, capsize=2)
    axis.axhline(chance(report), color="black", linestyle=":", label="chance")
    axis.set_xticks(
        range(len(report["methods"])), [m["name"] for m in report["methods"]], fontsize=8
    )
    axis.set(ylabel="rank-1, all recognisers fused", ylim=(0, 1.05))
    axis.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def tradeoff(report: Mapping[str, Any]) -> "Figure":
    """Privacy against naturalness: a line through the trainings of a kind and codec, by alpha."""
    figure, axes = _axes(1, 1, 6.0, 4.2)
    axis = axes[0][0]
    for marker, attack in zip("Dov^", ["clean", *report["attacks"]], strict=False):
        kinds: dict[tuple[str, str], list] = {}
        for method in report["methods"]:
            x = method["naturalness"]["measures"]["distance_to_real"]
            if attack in method["privacy"] and x is not None:
                _, rank1 = headline(method, attack)
                kinds.setdefault((method["kind"], method["codec"]), []).append(
                    (method["alpha"] or 0.0, x, rank1["accuracy"], method["name"])
                )
        color = None
        for points in kinds.values():
            points.sort()
            _, x, y, names = zip(*points, strict=True)
            label = attack if color is None else None
            (line,) = axis.plot(x, y, marker=marker, color=color, alpha=0.8, label=label)
            color = line.get_color()
            if attack in ("clean", report["attacks"][-1]):
                offset = {"xytext": (4, 4), "textcoords": "offset points"}
                for text, *place in zip(names, x, y, strict=True):
                    axis.annotate(text, place, fontsize=7, **offset)
    axis.axhline(chance(report), color="black", linestyle=":", label="chance")
    axis.margins(x=0.2)
    axis.locator_params("x", nbins=5)
    axis.set(
        xlabel=f"{MEASURES['distance_to_real'][0]} (lower: more natural)",
        ylabel="rank-1, all recognisers fused (lower: more private)",
        ylim=(0, 1.05),
    )
    axis.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def views(report: Mapping[str, Any]) -> "Figure | None":
    """Rank-1 by the probe's and the gallery's view (WIFS Table I), see `headline`."""
    tables = []
    for method in report["methods"]:
        attack = list(method["privacy"])[-1]
        name, _ = headline(method, attack)
        figures = method["privacy"][attack][name]
        if "nm" in figures.get("table", {}):
            tables.append((f"{method['name']}, {attack}, {name}", figures["table"]["nm"]))
    if not tables:
        return None
    figure, axes = _axes(-(-len(tables) // 2), min(2, len(tables)), 5.0, 4.6)
    for axis in axes.flat[len(tables) :]:
        axis.set_axis_off()
    for axis, (title, table) in zip(axes.flat, tables, strict=False):
        values = np.array(table["rank1"])
        axis.imshow(values, vmin=0, vmax=1, cmap="viridis")
        for i, j in np.ndindex(values.shape):
            text, color = f"{100 * values[i, j]:.0f}", "black" if values[i, j] > 0.6 else "white"
            axis.text(j, i, text, ha="center", va="center", fontsize=7, color=color)
        every = range(len(values))
        axis.set_xticks(every, table["views"], rotation=90, fontsize=7)
        axis.set_yticks(every, table["views"], fontsize=7)
        axis.set_title(title, fontsize=9)
        axis.set(xlabel="gallery, degrees", ylabel="probe, degrees")
    return figure
