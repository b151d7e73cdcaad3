"""All figures of speed of one machine, as one JSON file and one page with plots:

    python benchmarks/run.py --out=FOLDER [--device=gpu] [--budget=20] [--record]
    python benchmarks/run.py --only=ways --out=FOLDER     # settles how to convolve, in 5 minutes
    python benchmarks/run.py --compare=A.json,B.json --out=FOLDER

Runs the scripts beside this one (README.md says what each measures), each in a process of its own,
so that none has another's memory, until the minutes of --budget are used up. What fails or has no
time left is in the report with the reason. `ways` times ST-GAN's step by each way to convolve, each
checked against ours first, and the pieces by each.
"""

import json
from pathlib import Path

import report_page
import suite
import timing
from absl import app, flags

from stgan_jax.util import errors, files

_OUT = flags.DEFINE_string("out", None, "Folder for report.json and report.html.", required=True)
_DEVICE = flags.DEFINE_enum("device", None, ("cpu", "gpu", "tpu"), "By default what JAX finds.")
_BUDGET = flags.DEFINE_float("budget", 20.0, "Minutes.", 0.1)
_PEERS = flags.DEFINE_list("peers", ["torch", "torch_compile", "flax"], "Of step_time.py.")
_ONLY = flags.DEFINE_list("only", [], "Parts to run, as roofline,ways; all by default.")
_RUNS = flags.DEFINE_integer("runs", 10, "Timed turns.", lower_bound=2)
_RECORD = flags.DEFINE_bool("record", False, "Also store it in results/speed, for documents.")
_COMPARE = flags.DEFINE_list("compare", [], "Reports to put beside each other, nothing is run.")


def main(_):
    with errors.one_sentence():
        out = Path(_OUT.value)
        out.mkdir(parents=True, exist_ok=True)
        reports = [suite.stored(path) for path in _COMPARE.value]
        if not reports:
            parts = suite.parts(_PEERS.value, _RUNS.value, _ONLY.value)
            reports = [suite.measured(parts, 60 * _BUDGET.value, _DEVICE.value)]
            paths = [out / "report.json"]
            if _RECORD.value:
                name = timing.kind(reports[0]["machine"])
                paths.append(suite.BENCHMARKS / "results" / "speed" / f"{name}.json")
            for path in paths:
                with files.replacing(path) as beside:
                    beside.write_text(json.dumps(reports[0], indent=1) + "\n")
        page = out / ("comparison.html" if _COMPARE.value else "report.html")
        with files.replacing(page) as beside:
            beside.write_text(report_page.html_of(reports))
        print(f"{page}: the figures as a page")


if __name__ == "__main__":
    app.run(main, flags_parser=errors.parse_flags)
