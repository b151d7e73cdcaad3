"""What `auto` takes on an accelerator: fake ways, of which the fastest correct one wins."""

import dataclasses
import json
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small
from jax.experimental import rnn

from stgan_jax.methods.stgan import ways
from stgan_jax.methods.stgan.step import StganNets
from stgan_jax.ops import lstm
from stgan_jax.training import tuning
from stgan_jax.training.experiment import Experiment
from stgan_jax.util.errors import InputError


class Clock:
    """Time that passes only where a fake way says so."""

    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(tuning.time, "perf_counter", clock)
    return clock


RIGHT = {"value": np.arange(1.0, 5.0), "gradient": np.ones((3, 2))}


@pytest.fixture
def way(clock):
    """Makes a way that takes so many seconds and notes that it was compiled."""
    compiled = []

    def make(name, seconds, result=RIGHT):
        def build():
            compiled.append(name)

            def call():
                clock.now += seconds
                if isinstance(result, BaseException):
                    raise result
                return result

            return call

        return build

    make.compiled = compiled
    return make


def piece(name="convolution", reference=lambda: RIGHT, about="8 x 50", **named):
    return tuning.Piece(name, named, reference, about)


def cannot_compile():
    raise NotImplementedError("no such kernel here\nand more lines")


def test_the_fastest_correct_way_is_taken_and_the_others_are_told(way, tmp_path, capsys):
    off = RIGHT | {"gradient": RIGHT["gradient"] * 1.1}
    found = tuning.fastest(
        piece(
            plain=way("plain", 3.0),
            wrong=way("wrong", 0.1, off),
            empty=way("empty", 0.1, RIGHT | {"value": np.full(4, np.nan)}),
            crashing=way("crashing", 0.1, RuntimeError("out of memory\nat 0x0")),
            impossible=cannot_compile,
            good=way("good", 2.0),
            slow=way("slow", 50.0),
        ),
        tmp_path,
    )
    assert (found.way, found.seconds) == ("good", 2.0)
    line = capsys.readouterr().out
    assert line.count("\n") == 1
    for part in (
        "convolution for 8 x 50 on cpu: good: good 2e+03 ms, plain 3e+03 ms, slow 5e+04 ms",
        "wrong is left out: differs by 0.1, at a coordinate by 0.1 (tolerance 0.04, 0.4)",
        "empty is left out: differs by inf",
        "crashing is left out: RuntimeError: out of memory",
        "impossible is left out: NotImplementedError: no such kernel here",
    ):
        assert part in line


def test_one_wrong_coordinate_of_many_is_seen():
    expected = np.ones((50, 4000))
    result = expected.copy()
    result[:, -1] = 0.0
    whole, local = tuning.difference(result, expected)
    assert whole == pytest.approx(np.sqrt(1 / 4000))  # within the tolerance, and
    assert local == pytest.approx(1.0)  # this is not
    assert tuning.difference(expected[:, 1:], expected) == (np.inf, np.inf)


def test_a_choice_is_kept_for_the_same_sizes_alone(way, tmp_path, capsys):
    def choose(**more):
        ways_of = {name: way(name, s) for name, s in (("plain", 2.0), ("good", 1.0))}
        return tuning.fastest(piece(**ways_of, **more), tmp_path).way

    assert [choose(), choose()] == ["good", "good"]
    assert way.compiled == ["plain", "good"]
    assert "good, as measured before" in capsys.readouterr().out
    choose(about="16 x 50")
    assert len(way.compiled) == 4
    for file in tmp_path.glob("*.json"):
        file.write_text("not JSON")
    assert choose() == "good"
    assert len(way.compiled) == 6


def test_a_way_that_ended_the_process_is_not_tried_again(way, tmp_path, capsys):
    ends = piece(plain=way("plain", 2.0), deadly=way("deadly", 1.0, KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        tuning.fastest(ends, tmp_path)
    (kept,) = tmp_path.glob("*.json")
    content = json.loads(kept.read_text())
    assert content["begun"] == {}  # Ctrl-C is nobody's fault
    kept.write_text(json.dumps(content | {"begun": {"deadly": 2**30}}))
    assert tuning.fastest(ends, tmp_path).way == "plain"
    assert "deadly is left out: it ended a run" in capsys.readouterr().out
    assert tuning.fastest(ends, tmp_path).way == "plain"
    assert way.compiled == ["plain", "deadly", "plain"]


def test_nothing_measured_is_the_first_way_and_no_error(way, tmp_path, capsys):
    def broken():
        raise MemoryError("too large")

    both = {"plain": way("plain", 1.0), "other": way("other", 1.0)}
    assert tuning.fastest(piece(reference=broken, **both), tmp_path).way == "plain"
    assert "nothing could be measured; the reference is left out" in capsys.readouterr().out
    assert not way.compiled
    (tmp_path / "file").touch()  # no folder can be made there
    assert tuning.fastest(piece(**both), tmp_path / "file").way == "plain"


@pytest.fixture
def on_a_gpu(monkeypatch, tmp_path):
    """A CPU that says it is a GPU: Pallas and cuDNN do not compile there."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(jax, "device_count", lambda: 1)


TINY = dataclasses.replace(
    small.STGAN,
    noise="gaussian",
    data=dataclasses.replace(small.STGAN.data, frames=3),
    features=2,
    kernel=1,
    lstm_units=4,
    convolution="auto",
)


@pytest.mark.parametrize(("lanes", "r1"), [(1, 0.0), pytest.param(2, 0.5, marks=pytest.mark.soak)])
def test_stgan_s_pieces_are_measured_and_what_cannot_be_is_left_out(on_a_gpu, capsys, lanes, r1):
    settings = dataclasses.replace(TINY, r1=r1)
    nets = ways.fastest_nets(settings, settings.nets(), lanes)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" for ")[0] for line in lines] == ["convolution", "recurrence"]
    assert all(f"{lanes} x 2 x 3 x 4000, float32" in line for line in lines)
    assert "pallas is left out" in lines[0]
    assert "differs" not in "".join(lines)
    assert (lanes == 1) == ("cudnn is left out" in lines[1])
    assert nets.gen.convolution == nets.spatial_disc.convolution
    assert nets.gen.convolution in ("plain", "stencil")
    assert nets.temporal_disc.recurrence in ("scan", "unrolled")


def test_what_a_setting_names_is_not_measured(on_a_gpu, monkeypatch):
    monkeypatch.setattr(tuning, "fastest", pytest.fail)
    settings = dataclasses.replace(TINY, convolution="stencil", recurrence="unrolled")
    nets = ways.fastest_nets(settings, settings.nets())
    assert (nets.gen.convolution, nets.temporal_disc.recurrence) == ("stencil", "unrolled")


def test_the_faster_type_is_taken_where_asked_for(on_a_gpu, monkeypatch):
    def fastest(piece):
        return tuning.Choice(next(iter(piece.ways)), 1.0 if "bfloat16" in piece.about else 2.0)

    monkeypatch.setattr(tuning, "fastest", fastest)
    for asked, dtype in (("auto", jnp.bfloat16), ("float32", None)):
        settings = dataclasses.replace(TINY, compute_dtype=asked)
        nets: StganNets = ways.fastest_nets(settings, settings.nets())
        assert {net.dtype for net in (nets.gen, nets.spatial_disc, nets.temporal_disc)} == {dtype}


def test_only_an_accelerator_is_measured(monkeypatch):
    def step(*_):
        pytest.fail("nothing is trained here")

    asked = []
    one = types.SimpleNamespace(step=step, fastest=lambda lanes: asked.append(lanes) or print)
    assert Experiment.chosen_step(one, 3) is step
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert Experiment.chosen_step(one, 3) is print
    assert asked == [3]
    one.fastest = None
    assert Experiment.chosen_step(one, 3) is step


def test_cudnn_gets_the_weights_in_its_order(monkeypatch):
    """By JAX's reference of cuDNN's function, which takes the vector apart by itself."""

    def reference(x, h, c, packed, lengths, *sizes):
        size, units, layers, dropout, both = sizes
        parts = rnn.unpack_lstm_weights(packed, size, units, layers, both)
        return rnn.lstm_ref(x, h, c, *parts, lengths, size, units, layers, dropout, both)

    monkeypatch.setattr(rnn, "lstm", reference)
    x = jax.random.normal(jax.random.key(0), (2, 3, 5))
    net = lstm.Lstm(4, None)
    params = net.init(jax.random.key(1), x)
    params = jax.tree.map(lambda p: p + 0.1 * jax.random.normal(jax.random.key(2), p.shape), params)
    expected = net.apply(params, x, 2 * x)
    monkeypatch.setattr(lstm, "has_cudnn", lambda: True)
    for name in ("cudnn", "unrolled"):
        np.testing.assert_allclose(
            net.clone(recurrence=name).apply(params, x, 2 * x), expected, atol=1e-6
        )


def test_cudnn_is_refused_where_it_cannot_be():
    with pytest.raises(InputError, match="NVIDIA's GPUs"):
        lstm.refuse_cudnn_elsewhere("cudnn")
    with pytest.raises(InputError, match="without r1"):
        dataclasses.replace(TINY, recurrence="cudnn", r1=0.1)
