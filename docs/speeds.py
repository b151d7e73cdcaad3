"""Tables of speed: of machines that were measured, of what was tried, of plans without a device."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any

from figures import BENCHMARKS, measured, table


def speed_records() -> list[tuple[str, dict[str, Any]]]:
    """The machines that benchmarks/run.py --record measured, and their reports."""
    found = []
    for path in sorted((BENCHMARKS / "results" / "speed").glob("*.json")):
        report = json.loads(path.read_text())
        machine = report["machine"]
        name = machine["device"]
        if name == "cpu":
            name = f"{machine['cpu']}, {machine['cores']} cores"
        found.append((name, report))
    return found


_PEERS = {
    "ours": "ours", "torch": "PyTorch, eager", "torch_compile": "PyTorch, `torch.compile`",
    "flax": "straightforward Flax", "plain": "ours, `plain`", "stencil": "ours, `stencil`",
    "pallas": "ours, `pallas`",
}  # fmt: skip


def step_time_table() -> str:
    """The ST-GAN step beside its peers."""
    rows = []
    for name, report in speed_records():
        part = report["parts"].get("peers", {"seconds": {}})
        for peer, one in part["seconds"].items():
            memory, ours = part["compiled"].get(peer), part["seconds"]["ours"]
            ratio = f"{one['median'] / ours['median']:.2f}"
            low, high = part["intervals"].get(f"{peer} / ours", (None, None))
            clock = f"{one['median']:.3f} ({one['least']:.3f} to {one['most']:.3f})"
            rows.append([
                name, _PEERS[peer], clock,
                f"{one['processor']:.2f}",
                f"{memory['temporary_bytes'] / 1e6:,.0f} MB" if memory else "",
                ratio + (f" [{low:.2f}, {high:.2f}]" if low else ""),
                f"{one['processor'] / ours['processor']:.2f}",
            ])  # fmt: skip
    head = ("machine", "", "seconds, median (least to most)", "processor time", "temporary memory",
            "/ ours", "/ ours, processor time")  # fmt: skip
    return table(head, rows)


def roofline_table() -> str:
    """Each piece of the step: least work, floor, time and distance."""
    rows = []
    for name, report in speed_records():
        if (part := report["parts"].get("roofline")) is None:
            continue
        rates = part["rates"]
        products, copies = rates["flops_per_second"] / 1e9, rates["bytes_per_second"] / 1e9
        rates_of_it = f"{name}: products {products:,.0f} GFLOP/s, copies {copies:,.0f} GB/s"
        rows.append([rates_of_it, "", "", "", "", ""])
        rows += [
            [
                piece, f"{x['flops'] / 1e9:.3f}", f"{x['bytes'] / 1e6:.1f}",
                f"{1e3 * x['floor']:.3g}", f"{1e3 * x['seconds']:.3g}", f"{x['distance']:.1f}",
            ]
            for piece, x in part["pieces"].items()
        ]  # fmt: skip
    return table(("piece", "GFLOP", "MB", "floor, ms", "measured, ms", "distance"), rows)


def other_speeds_table() -> str:
    """The rest of a report: batches, lanes, codec, ways, and the machine it was measured on."""
    rows = []
    for name, report in speed_records():
        parts, machine = report["parts"], report["machine"]
        versions = [f"{key} {machine[key]}" for key in ("jax", "flax", "torch") if key in machine]
        load = f"load {machine['load_average']} when the first part ended"
        rows.append([name, "measured with", f"{', '.join(versions)}; {load}"])
        if (part := parts.get("scaling")) is not None:
            batches = part["by_batch"]
            rates = ", ".join(f"{x['sequences_per_second']:.0f}" for x in batches.values())
            rows.append([name, f"sequences a second, batch {', '.join(batches)}", rates])
        for part in (parts.get("sweep", {}), *(x for n, x in parts.items() if "ways" in n)):
            for ratio, (low, high) in part.get("intervals", {}).items():
                value = part["ratios"][ratio]
                rows.append([name, ratio, f"{value:.2f} [{low:.2f}, {high:.2f}]"])
        for what, ms in parts.get("codec", {"each": {}})["each"].items():
            rows.append([name, what, f"{ms['median']:.3g}"])
        rows += [[name, f"{what}: left out", why] for what, why in report["left_out"].items()]
    return table(("machine", "what", "figure"), rows)


def plan_table(part: str, head: str) -> str:
    """What programs take on devices that were not there: `part` of results/plan.json."""
    devices = measured("plan.json")["devices"]
    least: dict[Any, str] = {}
    cells: dict[tuple[Any, str], str] = {}
    for name, device in devices.items():
        for one in device[part]:
            least[one["of"]] = f"{one['flops'] / 1e9:,.1f} GFLOP, {one['bytes'] / 1e6:,.0f} MB"
            if one["temporary_bytes"] is None:
                memory = "does not fit"
            else:
                sizes = (one[f"{kind}_bytes"] / 1e6 for kind in ("argument", "temporary"))
                memory = " + ".join(f"{size:,.0f}" for size in sizes) + " MB"
                memory += "" if one["fits"] else ", **too much**"
            cells[one["of"], name] = f"{memory}; {1e3 * one['floor_seconds']:.3f} ms"
    names = [name for name in sorted(devices) if any(each == name for _, each in cells)]
    order = sorted(least) if part != "videos" else least
    rows = [(of, least[of], *(cells.get((of, name), "") for name in names)) for of in order]
    if part == "sweep":
        fitting = (devices[name].get("lanes_fit") for name in names)
        rows.append(("lanes that fit", "", *(f"about {fit}" if fit else "" for fit in fitting)))
    return table((head, "work", *names), rows)


def tries_table() -> str:
    """What was tried on the step, and whether it was kept."""
    return table(
        ("idea", "of what", "how many times as fast", "kept", "why"),
        (
            (one["idea"], one["of"], one["ratio"], "yes" if one["kept"] else "no", one["why"])
            for one in measured("tries.json")
        ),
    )


TABLES: dict[str, Callable[[], str]] = {
    "step-time": step_time_table,
    "roofline": roofline_table,
    "other-speeds": other_speeds_table,
    "tries": tries_table,
    "plan-step": partial(plan_table, "step", "batch"),
    "plan-sweep": partial(plan_table, "sweep", "lanes, batch 8"),
    "plan-videos": partial(plan_table, "videos", "network"),
}
