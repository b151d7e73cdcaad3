"""An evaluation that several processes share."""

import contextlib
import os
import signal
import sys

import pytest

from stgan_jax.evaluation import shares
from stgan_jax.util.errors import InputError


def test_several_processes_share_the_methods(tmp_path, monkeypatch):
    script = tmp_path / "started.py"
    script.write_text(
        "import os, pathlib, sys\n"
        "if sys.argv[1] == 'x': sys.exit('error: no such thing' if '2/3' in sys.argv[2] else 0)\n"
        "said = f'{sys.argv[1:]} {len(os.sched_getaffinity(0))}'\n"
        "pathlib.Path(sys.argv[1], sys.argv[2][-3]).write_text(said)\n"
    )
    monkeypatch.setattr(sys, "argv", [str(script), str(tmp_path)])
    assert shares.in_shares(1) == slice(None)
    assert not (tmp_path / "1").exists()
    assert shares.in_shares(2) == slice(None)
    cores = len(os.sched_getaffinity(0))
    for i in (1, 2):
        own = len(range(cores)[i - 1 :: 2]) or cores
        assert (tmp_path / f"{i}").read_text() == f"{[str(tmp_path), f'--share={i}/2']} {own}"
    # A share starts nothing, and together they are everything once.
    taken = [x for i in (1, 2, 3) for x in range(7)[shares.in_shares(3, f"{i}/3")]]
    assert sorted(taken) == list(range(7))
    monkeypatch.setattr(sys, "argv", [str(script), "x"])
    with pytest.raises(InputError, match="--jobs=3 failed: no such thing"):
        shares.in_shares(3)
    for wrong in ("3", "0/2", "3/2", "a/b"):
        with pytest.raises(InputError, match=f"--share={wrong}: say"):
            shares.in_shares(1, wrong)


def test_a_signal_to_stop_stops_all_who_share(tmp_path, monkeypatch):
    script = tmp_path / "started.py"
    script.write_text(
        "import os, pathlib, signal, sys, time\n"
        "pathlib.Path(sys.argv[1], str(os.getpid())).touch()\n"
        "while len(os.listdir(sys.argv[1])) < 3: time.sleep(0.01)\n"
        "if sys.argv[2] == '--share=2/2': os.kill(os.getppid(), signal.SIGTERM)\n"
        "time.sleep(600)\n"
    )
    monkeypatch.setattr(sys, "argv", [str(script), str(tmp_path)])
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        shares.in_shares(2)
    assert signal.getsignal(signal.SIGTERM) == before
    for pid in {path.name for path in tmp_path.iterdir()} - {script.name}:
        with contextlib.suppress(ChildProcessError):  # it was asked for before
            os.waitpid(int(pid), 0)  # ends, or the test never does
