"""Turns, ratios and counts of the benchmarks, and peers that do the same work."""

import json
import sys
from pathlib import Path

import cases
import commands
import counts
import jax
import jax.numpy as jnp
import numpy as np
import peers_flax
import pytest
import report_page
import step_time
import suite
import timing

from stgan_jax.util.errors import InputError

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def test_candidates_take_turns_and_each_follows_a_call_of_its_own():
    order = []
    calls = {name: lambda name=name: order.append(name) for name in "ab"}
    times = timing.interleaved(calls, runs=3)
    assert "".join(order) == "aabb" * 3
    assert [len(each) for each in times.clock.values()] == [3, 3]


def test_ratio_is_of_medians():
    times = timing.Times({"peer": [9.0, 4.0, 1.0], "ours": [2.0, 1.0, 8.0]}, {})
    times = times._replace(processor={"peer": [3.0], "ours": [1.0]})
    ratios = timing.ratios(times, "peer", "ours")
    assert ratios == {"peer / ours": 2.0, "peer / ours, processor time": 3.0}


def figures(device="cpu", **ratios):
    return {"machine": {"device": device}, "ratios": ratios}


def test_check_names_what_fell_beyond_the_tolerance():
    now = figures(a=3.0, b=1.4, c=9.0)
    assert timing.check(now, figures(a=4.0, b=2.0), 0.25) == "b 1.40 in place of 2.00"
    assert timing.check(now, figures(a=4.0, b=2.0), 0.31) == ""


@pytest.mark.parametrize(
    ("then", "word"), [(figures("TPU v4", a=1.0), "TPU v4"), (figures(a=1.0, d=1.0), "d was not")]
)
def test_check_refuses_what_cannot_be_compared(then, word):
    with pytest.raises(InputError, match=word):
        timing.check(figures(a=1.0), then, 0.1)


def command(script, *arguments):
    return commands.run(BENCHMARKS / script, *arguments)


@pytest.mark.parametrize(("before", "code"), [(1.2, 0), (4.0, 1)])
def test_check_fails_the_command_on_a_regression_alone(tmp_path, before, code):
    device = jax.devices()[0].device_kind
    stored, out = tmp_path / "stored.json", tmp_path / "out.json"
    stored.write_text(json.dumps(figures(device, **{"peer / ours": before})))
    script = tmp_path / "script.py"
    script.write_text(
        "import timing as t; t.define_flags(); t.run(lambda: t.report({}, {'peer / ours': 1}))"
    )
    done = command(script, f"--check={stored}", f"--out={out}")
    assert done.returncode == code, done.stderr
    assert json.loads(out.read_text())["ratios"] == {"peer / ours": 1}
    assert len(done.stderr.splitlines()) == code
    assert ("peer / ours 1.00 in place of 4.00" in done.stderr) == bool(code)


def test_unknown_peer_is_refused_in_a_sentence():
    done = command("step_time.py", "--peer=flax,tensorflow")
    assert done.returncode == 2
    assert done.stderr == (
        "error: --peer=tensorflow: choose from torch, torch_compile, flax, stencil, plain, pallas\n"
    )


def test_only_a_stored_run_is_checked_with(tmp_path):
    for text in ("not JSON", "[]", "{}"):
        (tmp_path / "other.json").write_text(text)
        with pytest.raises(InputError, match="not what --out of a benchmark writes"):
            timing.stored(tmp_path / "other.json")


def test_missing_peer_says_what_to_install(monkeypatch):
    monkeypatch.delitem(sys.modules, "peers_torch", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(InputError, match=r"torch is not installed: pip install '.\[bench\]'"):
        step_time.peer("torch", None)


class FixedLosses:
    def __init__(self, *losses):
        self._losses, self._calls = losses, 0

    def __call__(self):
        self._calls += 1

    def losses(self):
        return {"loss/gen": self._losses[self._calls - 1]}


def test_pallas_is_not_timed_on_a_cpu(case):
    with pytest.raises(InputError, match="pallas is for GPUs and TPUs"):
        step_time.peer("pallas", case)


def test_peer_with_other_losses_is_not_timed():
    ours, same = FixedLosses(5.0, 3.0), FixedLosses(5.0, 3.0001)
    step_time.require_same_losses({"ours": ours, "peer": same}, 1e-4)
    ours, other = FixedLosses(5.0, 3.0), FixedLosses(5.0, 3.1)
    with pytest.raises(InputError, match=r"--peer=peer: loss/gen is 3.1 in step 2 and ours 3"):
        step_time.require_same_losses({"ours": ours, "peer": other}, 1e-4)


@pytest.fixture(scope="module")
def case():
    rates = {"gen_learning_rate": 1e-3, "disc_learning_rate": 0.1}
    return cases.stgan(2, 3, lstm_units=8, features=4, optimizer="sgd", **rates)


def test_counted_weights_are_the_networks(case):
    params = jax.eval_shape(case.params)
    size = counts.Size(2, 3, channels=4, units=8)
    for name, key in (("G", "gen"), ("D_S", "spatial_disc"), ("D_T", "temporal_disc")):
        assert size.weights[name] == sum(x.size for x in jax.tree.leaves(params[key]))


def test_convolution_is_counted_as_by_hand():
    size = counts.Size(batch=1, frames=2, coordinates=5, channels=2, taps=3)
    encoders = sum(2 * 3 * 2 * n for n in (10, 5))  # taps, channels, multiply and add
    assert counts.gen_forward(size).flops == encoders + 2 * 10 + 2 * 3 * 2 * 10
    assert counts.gen_forward(size).bytes == 4 * (10 + 5 + 10)


def test_lstm_is_counted_as_by_hand():
    size = counts.Size(batch=1, frames=3, coordinates=5, units=2)
    gates = 3 * (4 * 2) * 5 + 2 * (4 * 2) * 2  # multiply-adds of three inputs, two states
    forwards = 2 * gates + 2 * 3 * 2
    backwards = 2 * 3 * (4 * 2) * 5 + 2 * 2 * (4 * 2) * 2 + 2 * 3 * 2
    assert counts.temporal_inputs(size).flops == forwards + backwards


def xla_flops(function, *arguments):
    return jax.jit(function).lower(*arguments).compile().cost_analysis()["flops"]


@pytest.mark.parametrize("piece", ["G forward", "D_S gradients", "D_T gradients", "D_T inputs"])
def test_counts_are_near_those_of_the_compiler_and_not_above(piece):
    """XLA counts a loop's body once, so D_T has one frame; and activations, which we do not."""
    frames = 1 if piece.startswith("D_T") else 3
    size = counts.Size(2, frames, 400, units=32)
    real, noise = jnp.ones((2, frames, 400)), jnp.ones((2, 400))
    both = jnp.concatenate([real, real])
    spatial, temporal = peers_flax.SpatialDiscriminator(16, 3), peers_flax.TemporalDiscriminator(32)
    net, inputs, count = {
        "G forward": (peers_flax.Generator(16, 3), (real, noise), counts.gen_forward),
        "D_S gradients": (spatial, (both,), counts.spatial_gradients),
        "D_T gradients": (temporal, (both,), counts.temporal_gradients),
        "D_T inputs": (temporal, (real,), counts.temporal_inputs),
    }[piece]
    params = net.init(jax.random.key(0), *inputs)
    by = {"forward": None, "gradients": 0, "inputs": 1}[piece.split()[1]]

    def total(*arguments):
        return net.apply(*arguments).sum()

    found = xla_flops(net.apply if by is None else jax.grad(total, by), params, *inputs)
    assert 0.7 * found < count(size).flops < found


def test_flax_peer_has_our_losses_and_gradients(case):
    """By SGD, whose updates are the gradients times a rate."""
    ends, start = [], case.state()
    for nets in (case.nets, peers_flax.nets(case.nets)):
        end, metrics = jax.jit(case.step(nets))(start, case.batch, case.run.alpha)
        moved = {
            name: jax.tree.map(jnp.subtract, end.params[name], start.params[name])
            for name in case.run.optimizers()
        }
        ends.append((moved, {k: v for k, v in metrics.items() if k.startswith("loss/")}))
    for ours, peer in zip(*map(jax.tree.leaves, ends), strict=True):
        scale = float(np.abs(ours).max())
        assert scale > 0
        np.testing.assert_allclose(peer, ours, rtol=1e-4, atol=1e-4 * scale)


def test_torch_peer_has_our_losses_in_two_steps():
    pytest.importorskip("torch")
    case = cases.stgan(2, 3, lstm_units=8, features=4)
    ours = timing.Step(case.step(), case.state(), case.batch, case.run.alpha)
    step_time.require_same_losses({"ours": ours, "torch": step_time.peer("torch", case)}, 1e-4)


def test_interval_of_a_ratio_holds_the_ratio_and_shrinks_with_turns():
    rng = np.random.default_rng(0)

    def width(turns):
        times = timing.Times({"peer": list(rng.normal(4, 1, turns)), "ours": [2.0] * turns}, {})
        ((low, high),) = timing.intervals(times, "peer", "ours").values()
        assert low <= timing.ratios(times._replace(processor=times.clock), "peer", "ours")[
            "peer / ours"
        ] <= high  # fmt: skip
        return high - low

    assert width(400) < width(10) / 2


def test_check_is_of_one_kind_of_processor():
    then, now = figures(a=1.0), figures(a=1.0)
    then["machine"]["cpu"], now["machine"]["cpu"] = "EPYC", "Xeon"
    with pytest.raises(InputError, match="stored on EPYC and this is Xeon"):
        timing.check(now, then, 0.1)


def test_a_folder_of_reports_is_checked_with_that_of_this_kind_of_device(tmp_path, monkeypatch):
    machine = {"device": "cpu", "cpu": "AMD EPYC (R) 9", "cores": 2}
    monkeypatch.setattr(timing, "machine", lambda: machine)
    with pytest.raises(InputError, match=r"no record of this kind .* amd_epyc_r_9_2_cores.json"):
        timing.stored(tmp_path)
    few, many, other = ({"ratios": dict.fromkeys(names, 1.0)} for names in ("a", "ab", "abz"))
    report = {"machine": machine, "parts": {"few": few, "many": many, "other": other}}
    (tmp_path / "amd_epyc_r_9_2_cores.json").write_text(json.dumps(report))
    found = timing.stored(tmp_path)
    assert timing.like(figures(a=1.0, b=1.0, c=1.0), found) == many
    assert timing.like(figures(a=1.0), found) == few
    with pytest.raises(InputError, match="no part of the report"):
        timing.like(figures(z=1.0), found)


def part_of(**figures):
    return {"machine": {"device": "cpu", "cpu": "A <b>"}, "ratios": {}, **figures}


def ratio(peer, value):
    seconds = {"ours": {"median": 2.0}, peer: {"median": 2.0 * value}}
    name = f"{peer} / ours"
    return part_of(
        ratios={name: value},
        intervals={name: [value - 1, value + 1]},
        seconds=seconds,
        ways={"convolution": "stencil"},
    )


REPORT = {
    "machine": {"device": "cpu", "cpu": "A <b>"},
    "parts": {
        "roofline": part_of(
            rates={"flops_per_second": 2e11, "bytes_per_second": 5e10},
            pieces={
                "G forward": {
                    "flops": 3e8, "bytes": 1e7, "floor": 2e-3, "seconds": 8e-3, "distance": 4.0
                }
            },
        ),
        "peers": ratio("torch", 5.0),
        "ways plain": ratio("plain", 3.0),
        "sweep": ratio("singles", 1.5),
        "scaling": part_of(
            by_batch={
                str(n): {"seconds": {"median": 0.1 * n}, "sequences_per_second": 10.0}
                for n in (1, 2)
            },
            by_devices={},
        ),
    },
    "left_out": {"ways pallas": "not for <CPUs>"},
}  # fmt: skip


def test_page_shows_every_part_and_what_is_missing():
    page = report_page.html_of([REPORT])
    assert page.count("data:image/png;base64,") == 3
    for text in ("torch / ours", "5.00", "4.00 to 6.00", "G forward", "not for &lt;CPUs&gt;"):
        assert text in page
    assert "A &lt;b&gt;" in page
    both = report_page.html_of([REPORT, REPORT])
    assert "A &lt;b&gt; #2" in both
    only = {**REPORT, "parts": {"peers": ratio("torch", 5.0)}, "left_out": {}}
    assert "Left out" not in report_page.html_of([only])


def test_suite_keeps_to_its_time_and_tells_what_failed(monkeypatch, capsys):
    given = {"good": part_of(), "bad": "no such thing"}
    clock = iter([0.0, 1.0, 2.0, 99.0])
    monkeypatch.setattr(suite.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(suite, "_figures", lambda command, *_: given[command[0]])
    report = suite.measured([("a", ["good"]), ("b", ["bad"]), ("c", ["good"])], 50.0)
    assert list(report["parts"]) == ["a"]
    assert report["left_out"] == {"b": "no such thing", "c": "no time was left"}
    clock = iter([0.0, 99.0])
    with pytest.raises(InputError, match="nothing could be measured: no time"):
        suite.measured([("a", ["good"])], 50.0)


def test_reports_are_compared_on_one_page(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(REPORT))
    compared = f"--compare={tmp_path / 'a.json'},{tmp_path / 'a.json'}"
    done = command("run.py", compared, f"--out={tmp_path / 'out'}")
    assert done.returncode == 0, done.stderr
    assert "A &lt;b&gt; #2" in (tmp_path / "out" / "comparison.html").read_text()
    (tmp_path / "a.json").write_text("{}")
    done = command("run.py", compared, f"--out={tmp_path / 'out'}")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "not a report.json of benchmarks/run.py" in done.stderr
