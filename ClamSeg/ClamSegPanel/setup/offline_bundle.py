"""An offline bundle: wheels and models in one file, with the SHA-256 of each, for a computer without network.

Packing and unpacking move gigabytes, so they run as a process of their own (`bundle_process_arguments`), which tells
JSON lines. Only the standard library is used here, and the part of ClamSegLib that needs nothing else.
"""

from __future__ import annotations

import hashlib
import json
import platform
import re
import shutil
import sys
import sysconfig
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any

MANIFEST, FORMAT = "manifest.json", 1
WHEELS, MODELS = "wheels", "models"
MODEL_FILES = (
    "config.json", "weights.safetensors", "card.md", "run.json", "normative.safetensors", "int8.xml", "int8.bin", "int8.json",
)  # fmt: skip
_BLOCK = 1 << 20
_LARGEST_MANIFEST = 8 << 20
_RESERVE_BYTES = 100 << 20
Tell = Callable[[int, int], None]


class BundleError(Exception):
    """What is wrong with a bundle; `bundle_words` makes the sentence.

    Attributes:
        kind: a key of `bundle_words`.
        values: what the sentence names.
    """

    def __init__(self, kind: str, **values: Any) -> None:
        super().__init__(kind)
        self.kind, self.values = kind, values


def this_computer() -> dict[str, str]:
    """What the wheels of a bundle must fit."""
    return {"python": f"{sys.version_info[0]}.{sys.version_info[1]}", "platform": sysconfig.get_platform()}


def download_arguments(requirements: list[str], folder: Path) -> list[str]:
    """Arguments of Python that fetch the wheels of requirements and all they need, for this very Python.

    A PyTorch of a special build, such as 2.13.0+cpu, comes from PyTorch's own index of that build.
    """
    arguments = ["-m", "pip", "download", "--only-binary", ":all:", "--disable-pip-version-check", "--no-input"]
    arguments += ["--dest", str(folder)]
    for requirement in requirements:
        build = re.match(r"torch==[^+]+\+(cpu|cu\d+|rocm[\d.]+|xpu)$", requirement)
        if build:
            arguments += ["--extra-index-url", f"https://download.pytorch.org/whl/{build[1]}"]
    return arguments + requirements


def requirements_of(versions: dict[str, str | None], wanted: dict[str, str]) -> list[str]:
    """What a bundle holds: the versions that work here, else the wanted ones, e.g. ['torch==2.13.0+cpu', ...].

    Args:
        versions: installed version of each package, None where it is absent.
        wanted: package -> version specifier.
    """
    return [f"{name}=={versions[name]}" if versions.get(name) else name + spec for name, spec in wanted.items()]


def make_bundle(target: Path, wheels: Path, models: Path | None, about: dict[str, Any], tell: Tell) -> int:
    """Writes the bundle whole; returns its size in bytes.

    Args:
        wheels: folder of downloaded wheels.
        models: the user's models folder, or None.
        about: 'clamseg' and 'requirements', kept in the manifest with this computer's Python and platform.
        tell: is given bytes done and in all.

    Raises:
        BundleError: no wheels.
        InputError: something other than a file is at the target.
        OutputError: not writable, disk full.
    """
    from ClamSegLib.system.atomic_output import whole_file

    files = {f"{WHEELS}/{path.name}": path for path in sorted(wheels.glob("*.whl"))}
    if not files:
        raise BundleError("no_wheels")
    files |= _model_files(models)
    total = sum(path.stat().st_size for path in files.values())
    entries: dict[str, dict[str, Any]] = {}
    done = 0
    with whole_file(target) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_STORED, allowZip64=True) as bundle:
        for name, path in files.items():
            digest = hashlib.sha256()
            with path.open("rb") as source, bundle.open(name, "w", force_zip64=True) as into:
                for block in _blocks(source):
                    digest.update(block)
                    into.write(block)
                    done += len(block)
                    tell(done, total)
            entries[name] = {"sha256": digest.hexdigest(), "bytes": path.stat().st_size}
        manifest = {"format": FORMAT, **about, **this_computer(), "files": entries}
        bundle.writestr(MANIFEST, json.dumps(manifest, indent=1))
    return target.stat().st_size


def unpack_bundle(bundle: Path, folder: Path, tell: Tell) -> dict[str, Any]:
    """Checks a bundle and unpacks it into an empty folder; returns its manifest.

    Raises:
        BundleError: no bundle, of another Python or platform, a path that leads elsewhere, or a file that is missing,
            unknown or not the one the manifest names.
        OSError: unreadable, not writable, disk full.
    """
    try:
        with zipfile.ZipFile(bundle) as packed:
            manifest = _manifest(packed)
            files: dict[str, Any] = manifest["files"]
            _check_computer(manifest)
            _check_names(packed, files)
            total = sum(entry["bytes"] for entry in files.values())
            if total + _RESERVE_BYTES > shutil.disk_usage(folder).free:
                raise BundleError("disk_full", mb=round((total + _RESERVE_BYTES) / 1e6), folder=str(folder))
            done = 0
            for name, entry in files.items():
                _unpack_one(packed, name, entry, folder / name)
                done += entry["bytes"]
                tell(done, total)
    except (zipfile.BadZipFile, EOFError) as error:
        raise BundleError("no_bundle", name=bundle.name) from error
    return manifest


def install_arguments(folder: Path, manifest: dict[str, Any], *, torch_is_broken: bool) -> list[list[str]]:
    """Arguments of `pip install`, call by call: from the unpacked wheels only.

    A torch that is there but does not work is put in anew; whatever else fits already stays.
    """
    offline = ["--no-index", "--find-links", str(folder / WHEELS), "--disable-pip-version-check"]
    requirements = [str(each) for each in manifest["requirements"]]
    calls = [offline + requirements]
    torch = [each for each in requirements if re.match(r"torch([^A-Za-z]|$)", each)]
    if torch_is_broken and torch:
        calls.insert(0, [*offline, "--force-reinstall", "--no-deps", *torch])
    return calls


def _model_files(models: Path | None) -> dict[str, Path]:
    """Only the files of a model: what a training leaves beside them may show patients."""
    if models is None or not models.is_dir():
        return {}
    folders = [folder for folder in sorted(models.iterdir()) if (folder / MODEL_FILES[0]).is_file()]
    found = [(folder, file) for folder in folders for file in MODEL_FILES if (folder / file).is_file()]
    return {f"{MODELS}/{folder.name}/{file}": folder / file for folder, file in found}


def _blocks(source: IO[bytes]) -> Iterator[bytes]:
    while block := source.read(_BLOCK):
        yield block


def _manifest(packed: zipfile.ZipFile) -> dict[str, Any]:
    """The manifest, its shape checked."""
    try:
        info = packed.getinfo(MANIFEST)
        if info.file_size > _LARGEST_MANIFEST:
            raise ValueError(info.file_size)
        manifest = json.loads(packed.read(info))
        good = isinstance(manifest["requirements"], list) and all(
            re.fullmatch(r"[A-Za-z0-9._-]+([=<>!~]=?[A-Za-z0-9.+*!]+)*", str(each)) for each in manifest["requirements"]
        )
        for entry in manifest["files"].values():
            good = good and re.fullmatch(r"[0-9a-f]{64}", entry["sha256"]) is not None
            good = good and isinstance(entry["bytes"], int) and entry["bytes"] >= 0
        if not good:
            raise ValueError(MANIFEST)
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise BundleError("no_bundle", name=Path(str(packed.filename)).name) from error
    if manifest.get("format") != FORMAT:
        raise BundleError("other_format", came=manifest.get("format"), known=FORMAT)
    return dict(manifest)


def _check_computer(manifest: dict[str, Any]) -> None:
    here = this_computer()
    if manifest.get("python") != here["python"]:
        raise BundleError("other_python", came=manifest.get("python"), here=here["python"])
    if not _same_platform(str(manifest.get("platform")), here["platform"]):
        raise BundleError("other_platform", came=manifest.get("platform"), here=here["platform"])


def _same_platform(came: str, here: str) -> bool:
    """macOS names the version it was built for, which does not matter here: system and processor do."""
    first, second = ([part for part in name.split("-") if not re.fullmatch(r"[\d.]+", part)] for name in (came, here))
    return first == second


def _check_names(packed: zipfile.ZipFile, files: dict[str, Any]) -> None:
    """Every file is named in the manifest, lies in its place, and stands there once."""
    names = [info.filename for info in packed.infolist() if info.filename != MANIFEST]
    for name in [*names, *files]:
        parts = PurePosixPath(name).parts
        depth = {WHEELS: 2, MODELS: 3}.get(parts[0] if parts else "")
        wrong = len(parts) != depth or any(part in ("..", ".") or "\\" in part or ":" in part for part in parts)
        known = parts[-1] in MODEL_FILES if parts and parts[0] == MODELS else name.endswith(".whl")
        if wrong or not known or name.startswith("/"):
            raise BundleError("wrong_place", name=name)
    if sorted(names) != sorted(files):
        odd = sorted(set(names) ^ set(files)) or sorted(names)
        raise BundleError("not_listed", name=odd[0])


def _unpack_one(packed: zipfile.ZipFile, name: str, entry: dict[str, Any], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    digest, size = hashlib.sha256(), 0
    with packed.open(name) as source, path.open("wb") as into:
        for block in _blocks(source):
            size += len(block)
            if size > entry["bytes"]:
                break
            digest.update(block)
            into.write(block)
    if size != entry["bytes"] or digest.hexdigest() != entry["sha256"]:
        raise BundleError("damaged", name=name)


def bundle_process_arguments(task: str, values: dict[str, Any]) -> list[str]:
    """Arguments of Python that run `make` or `unpack` apart; `values` are paths as text and what is to be kept."""
    from ClamSegWorkflow.process.command_line import library_folder

    return [str(Path(__file__).resolve()), task, json.dumps({**values, "library": str(library_folder())})]


def main(words: list[str]) -> None:
    """The process: progress, then `done` or `error` with a kind, as JSON lines."""
    task, values = words[0], json.loads(words[1])
    sys.path.insert(0, values.pop("library"))
    from ClamSegLib.system.errors import ClamSegError

    last = [-1]

    def say(event: str, **told: Any) -> None:
        sys.stdout.write(json.dumps({"event": event, **told}) + "\n")
        sys.stdout.flush()

    def tell(done: int, total: int) -> None:
        percent = 100 * done // max(1, total)
        if percent != last[0]:
            last[0] = percent
            say("progress", stage=task, done=percent, total=100)

    try:
        if task == "make":
            models = Path(values["models"]) if values.get("models") else None
            size = make_bundle(Path(values["target"]), Path(values["wheels"]), models, values["about"], tell)
            say("done", bytes=size)
        else:
            say("done", manifest=unpack_bundle(Path(values["bundle"]), Path(values["folder"]), tell))
    except BundleError as error:
        say("error", kind=error.kind, values=error.values)
    except (OSError, ClamSegError) as error:
        of_disk = error.__cause__ if isinstance(error.__cause__, OSError) else error
        say("error", kind="disk", values={"words": getattr(of_disk, "strerror", None) or str(error)})


def python_words() -> str:
    """This Python and system, for people."""
    return f"Python {platform.python_version()}, {sysconfig.get_platform()}"


if __name__ == "__main__":
    main(sys.argv[1:])
