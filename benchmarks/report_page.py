"""The report of `run.py` as a page: plots and tables of one machine, or of several side by side."""

import base64
import html
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

Report = Mapping[str, Any]
_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto;
  padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; } img { max-width: 100%; }
th, td { border: 1px solid #ccc; padding: .25rem .6rem; text-align: right; }
th:first-child, td:first-child { text-align: left; } thead { background: #f2f2f2; }
"""


def html_of(reports: Sequence[Report]) -> str:
    """The page."""
    names = names_of(reports)
    parts = [
        ("Where the step's time goes", roofline, "roofline"),
        ("Beside others", peers, "peers"),
        ("Ways to convolve", ways, "ways"),
        ("Step time by batch", scaling, "scaling"),
        ("A sweep", sweep, "sweep"),
    ]
    body = [f"<h1>Speed: {html.escape(', '.join(names))}</h1>", _machines(reports, names)]
    for title, show, name in parts:
        having = [
            (label, each)
            for label, each in zip(names, reports, strict=True)
            if any(part.split()[0] == name for part in each["parts"])
        ]
        if having:
            body += [f"<h2>{title}</h2>", *show(having)]
    left = [
        (f"{label}: {name}" if len(reports) > 1 else name, reason)
        for label, each in zip(names, reports, strict=True)
        for name, reason in each["left_out"].items()
    ]
    if left:
        body += ["<h2>Left out</h2>", _table(("part", "why"), left)]
    return (
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>Speed</title>\n'
        f"<style>{_STYLE}</style>\n" + "\n".join(body) + "\n</html>\n"
    )


def names_of(reports: Sequence[Report]) -> list[str]:
    """What reports are called: by device, of CPUs by processor; numbered where these are alike."""
    found: list[str] = []
    for report in reports:
        machine = report["machine"]
        name = machine["device"] if machine["device"] != "cpu" else machine.get("cpu") or "cpu"
        alike = sum(other.split(" #")[0] == name for other in found)
        found.append(f"{name} #{alike + 1}" if alike else name)
    return found


def roofline(reports: Sequence[tuple[str, Report]]) -> Iterable[str]:
    """Each piece of the step under the machine's roof."""
    figure, axes = _figure(len(reports), 6.0, 4.6)
    for axis, (name, report) in zip(axes, reports, strict=True):
        part = report["parts"]["roofline"]
        rates, pieces = part["rates"], part["pieces"]
        matrix, copies = rates["flops_per_second"], rates["bytes_per_second"]
        each = {key: piece["flops"] / piece["bytes"] for key, piece in pieces.items()}
        left, right = min(each.values()) / 2, max(*each.values(), matrix / copies) * 2
        roof = [left, matrix / copies, right]
        axis.loglog(roof, [min(matrix, copies * x) / 1e9 for x in roof], "k-", lw=1)
        for key, piece in pieces.items():
            reached = piece["flops"] / piece["seconds"] / 1e9
            axis.plot(each[key], reached, "o", label=key)
        axis.legend(fontsize=8)
        axis.set(xlabel="operations a byte", ylabel="GFLOP/s", title=name)
    yield _image("roofline", figure)
    head = ("piece", "GFLOP", "MB", "floor, ms", "measured, ms", "distance")
    for name, report in reports:
        part = report["parts"]["roofline"]
        rates = part["rates"]
        yield (
            f"<p>{html.escape(name)}: products at {rates['flops_per_second'] / 1e9:,.0f} GFLOP/s, "
            f"copies at {rates['bytes_per_second'] / 1e9:,.0f} GB/s.</p>"
        )
        yield _table(head, roofline_rows(part["pieces"]))


def roofline_rows(pieces: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """The pieces: least work, floor, time and distance from it."""
    return [
        (
            name,
            f"{x['flops'] / 1e9:.3f}",
            f"{x['bytes'] / 1e6:.1f}",
            f"{1e3 * x['floor']:.3g}",
            f"{1e3 * x['seconds']:.3g}",
            f"{x['distance']:.1f}",
        )
        for name, x in pieces.items()
    ]


def peers(reports: Sequence[tuple[str, Report]]) -> Iterable[str]:
    """Peers' times over ours, with 95 % intervals."""
    figure, (axis,) = _figure(1, 7.0, 3.6)
    rows, ticks = [], {}
    for number, (name, report) in enumerate(reports):
        part = report["parts"]["peers"]
        for place, row in enumerate(ratio_rows(part)):
            rows.append((name, *row))
            peer = row[0].split(" / ")[0]
            value, (low, high) = part["ratios"][row[0]], part["intervals"][row[0]]
            label = name if not place else None
            error = [[max(value - low, 0)], [max(high - value, 0)]]
            where = place + 0.8 * number / len(reports)
            axis.barh(where, value, 0.7 / len(reports), color=f"C{number}", label=label, xerr=error)
            ticks[where] = peer
    axis.axvline(1.0, color="black", lw=1)
    axis.set(xlabel="seconds a step / ours")
    axis.set_yticks(list(ticks), list(ticks.values()))
    axis.legend(fontsize=8)
    yield _image("peers", figure)
    yield _table(
        ("machine", "peer / ours", "ratio", "95 % interval", "seconds", "ours, seconds"), rows
    )


def ratio_rows(part: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Ratios by the clock of a part, with intervals and median seconds of both."""
    seconds = part["seconds"]
    return [
        (
            name,
            f"{part['ratios'][name]:.2f}",
            f"{low:.2f} to {high:.2f}",
            *(f"{seconds[each]['median']:.4g}" for each in name.split(" / ")),
        )
        for name, (low, high) in part["intervals"].items()
    ]


def ways(reports: Sequence[tuple[str, Report]]) -> Iterable[str]:
    """The step by each way to convolve, and its pieces."""
    rows = []
    for name, report in reports:
        for part, figures in report["parts"].items():
            if part.startswith("ways ") and "intervals" in figures:
                chosen = figures["ways"]
                rows += [(name, chosen["convolution"], *row) for row in ratio_rows(figures)]
    head = ("machine", "ours", "way / ours", "ratio", "95 % interval", "seconds", "ours, seconds")
    if rows:
        yield _table(head, rows)
    for name, report in reports:
        pieces = {
            part.split()[1].rstrip(","): figures["pieces"]
            for part, figures in report["parts"].items()
            if part.startswith("ways ") and "pieces" in figures
        }
        if pieces:
            every = list(next(iter(pieces.values())))
            yield f"<p>{html.escape(name)}, milliseconds:</p>"
            yield _table(
                ("piece", *pieces),
                [(x, *(f"{1e3 * p[x]['seconds']:.3g}" for p in pieces.values())) for x in every],
            )


def scaling(reports: Sequence[tuple[str, Report]]) -> Iterable[str]:
    """Seconds a step and sequences a second by the batch; by devices where there are several."""
    several = any(report["parts"]["scaling"]["by_devices"] for _, report in reports)
    figure, axes = _figure(3 if several else 2, 4.2, 3.4)
    rows = []
    for name, report in reports:
        part = report["parts"]["scaling"]
        batches = sorted(map(int, part["by_batch"]))
        each = [part["by_batch"][str(batch)] for batch in batches]
        axes[0].loglog(batches, [x["seconds"]["median"] for x in each], "o-", label=name)
        axes[1].semilogx(batches, [x["sequences_per_second"] for x in each], "o-", label=name)
        for axis in axes[:2]:
            axis.set_xticks(batches, map(str, batches))
            axis.set_xticks([], minor=True)
        rows += [
            (
                name,
                str(batch),
                f"{x['seconds']['median']:.4g}",
                f"{x['sequences_per_second']:.1f}",
                f"{x.get('temporary_bytes', 0) / 1e6:,.0f} MB",
            )
            for batch, x in zip(batches, each, strict=True)
        ]
        if several:
            devices = sorted(map(int, part["by_devices"]))
            rates = [part["by_devices"][str(n)]["sequences_per_second"] for n in devices]
            axes[2].plot(devices, rates, "o-", label=name)
            axes[2].set(xlabel="devices", ylabel="sequences a second", ylim=(0, None))
    axes[0].set(xlabel="batch", ylabel="seconds a step")
    axes[1].set(xlabel="batch", ylabel="sequences a second")
    axes[0].legend(fontsize=8)
    yield _image("scaling", figure)
    head = ("machine", "batch", "seconds a step", "sequences a second", "temporary memory")
    yield _table(head, rows)


def sweep(reports: Sequence[tuple[str, Report]]) -> Iterable[str]:
    """Single steps beside the step of as many lanes."""
    head = (
        "machine",
        "singles / lanes",
        "ratio",
        "95 % interval",
        "singles, seconds",
        "lanes, seconds",
    )
    rows = [(n, *row) for n, r in reports for row in ratio_rows(r["parts"]["sweep"])]
    yield _table(head, rows)


def _machines(reports: Sequence[Report], names: Sequence[str]) -> str:
    keys = list(dict.fromkeys(key for report in reports for key in report["machine"]))
    rows = [(key, *(_text(report["machine"].get(key, "")) for report in reports)) for key in keys]
    return _table(("", *names), rows)


def _text(value: Any) -> str:
    """A value of `machine`: lists and mappings as people write them."""
    if isinstance(value, Mapping):
        return "; ".join(f"{key} {_text(one)}" for key, one in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _figure(columns: int, width: float, height: float) -> tuple[Figure, list[Axes]]:
    # Without pyplot: no window, no state.
    figure = Figure(figsize=(width * columns, height), layout="constrained")
    axes = list(figure.subplots(1, columns, squeeze=False)[0])
    for axis in axes:
        axis.grid(alpha=0.3)
    return figure, axes


def _image(name: str, figure: Figure) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    data = base64.b64encode(buffer.getvalue()).decode()
    return f'<img alt="{name}" src="data:image/png;base64,{data}">'


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    def cells(row: Sequence[str], tag: str) -> str:
        return "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in row)

    body = "\n".join(f"<tr>{cells(row, 'td')}</tr>" for row in rows)
    return f"<table><thead><tr>{cells(head, 'th')}</tr></thead>\n{body}</table>"
