"""Setup without a window: what is to be installed, bundles that are checked file by file, a report that names nobody."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from own_models import tiny_model

from ClamSegLib.system.errors import OutputError
from ClamSegPanel.setup import faster_engine, offline_bundle
from ClamSegPanel.setup.bundle_words import bundle_problem
from ClamSegPanel.setup.installation_steps import (
    InstallationSteps,
    carry_out,
    engine_is_among,
    installation_lines,
    packages_of_bundle,
    steps_to_install,
    steps_to_repair,
)
from ClamSegPanel.setup.kept_packages import constraints, installed_versions, packages_in_the_way, write_constraints
from ClamSegPanel.setup.offline_bundle import (
    BundleError,
    bundle_process_arguments,
    download_arguments,
    install_arguments,
    make_bundle,
    requirements_of,
    unpack_bundle,
)
from ClamSegPanel.setup.support_bundle import support_files, without_names, write_support_bundle
from ClamSegPanel.setup.torch_leftovers import remove_torch_leftovers

WHOLE: dict[str, Any] = {
    "python": "3.12.1",
    "torch": "2.13.0+cpu",
    "packages": dict.fromkeys(
        ("torch", "numpy", "scipy", "SimpleITK", "safetensors", "pydicom", "highdicom"), "2.13.0+cpu"
    ),
    "engines": {"openvino": None, "onnx": None, "mnn": None},
    "problems": [],
    "devices": [
        {"name": "cpu", "description": "x86_64", "free_mb": 2048, "total_mb": 4096, "works": True, "problem": ""}
    ],
}


def report(**changes: Any) -> dict[str, Any]:
    packages = changes.pop("packages", {})
    return {**WHOLE, **changes, "packages": {**WHOLE["packages"], **packages}}


def always(name: str) -> bool:
    return True


# -- what is to be installed -----------------------------------------------------------------------------------


def test_where_all_is_there_nothing_is_installed() -> None:
    assert steps_to_install(WHOLE, is_there=always).is_nothing


def test_what_is_missing_is_installed_and_nothing_of_slicers_own() -> None:
    missing = report(torch=None, packages={"torch": None, "safetensors": None, "numpy": None})
    steps = steps_to_install(missing, is_there=lambda name: name != "optuna")
    assert steps == InstallationSteps(True, False, ("safetensors>=0.4", "optuna>=4.0"), ("numpy",))
    assert "PyTorch >=2.6" in steps.words()


def test_a_half_installed_torch_is_removed_before_it_is_installed() -> None:
    done: list[Any] = []

    class Host:
        def install_torch(self, version: str) -> None:
            done.append(("install torch", version))

        def remove_torch(self) -> None:
            done.append("remove torch")

        def install(self, requirements: list[str]) -> None:
            done.append(requirements)

    steps = steps_to_install(report(torch=None, packages={"pydicom": None}), is_there=always)
    carry_out(steps, Host())
    assert done == ["remove torch", ("install torch", ">=2.6"), ["pydicom>=3.0"]]
    assert steps_to_repair(WHOLE).remove_torch_first
    assert not steps_to_repair(report(packages={"torch": None})).remove_torch_first


def test_the_table_says_in_words_what_works() -> None:
    broken = report(torch=None, packages={"highdicom": None, "safetensors": None})
    broken["devices"] = [
        {
            "name": "cuda:0",
            "description": "A",
            "free_mb": 1024,
            "total_mb": 2048,
            "works": False,
            "problem": "no kernel",
        }
    ]
    lines = {line.part: line for line in installation_lines(broken)}
    assert (lines["torch"].state, lines["torch"].works) == ("does not work", False)
    assert (lines["safetensors"].state, lines["safetensors"].works) == ("missing", False)
    assert (lines["highdicom"].state, lines["highdicom"].works) == ("missing, needed for DICOM SEG and SR only", True)
    assert lines["cuda:0 A"].version == "1.0 of 2.0 GB free"
    assert lines["cuda:0 A"].state == "does not work: no kernel"
    assert installation_lines({})[0].part == "Python"


def test_what_a_broken_installation_of_torch_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    ours = ["torch", "torchgen", "functorch", "torch-2.13.0.dist-info", "~orch", "~orch-2.13.0.dist-info"]
    others = ["torchvision", "torchvision-0.28.dist-info", "torch_geometric", "numpy", "pytorch_lightning"]
    for name in ours + others:
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.py").touch()
    assert sorted(remove_torch_leftovers(tmp_path)) == sorted(ours)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(others)


# -- the faster engine -----------------------------------------------------------------------------------------

GPU = {"name": "cuda:0", "description": "A", "free_mb": 1024, "total_mb": 2048, "works": True, "problem": ""}


@pytest.mark.parametrize(
    ("found", "offered"),
    [
        ({}, True),
        ({"devices": [*WHOLE["devices"], {**GPU, "works": False}]}, True),
        ({"devices": [*WHOLE["devices"], GPU]}, False),
        ({"torch": None}, False),
        ({"engines": {"openvino": None, "onnx": None, "mnn": "3.6.1"}}, False),
        ({"engines": {"openvino": "2026.4.1", "onnx": None, "mnn": None}}, False),
        ({"engines": {"openvino": None, "onnx": "1.32.0", "mnn": None}}, True),
    ],
)
def test_the_engine_is_offered_where_only_the_processor_computes_and_nowhere_else(found: Any, offered: bool) -> None:
    assert faster_engine.is_offered(report(**found)) is offered
    rows = [(line.part, line.state) for line in installation_lines(report(**found))]
    assert (("Faster computing (MNN)", "not installed, optional") in rows) is offered


def test_one_engine_is_offered_the_faster_one_on_the_processor() -> None:
    assert faster_engine.engine_for(report()).name == "MNN"
    of_eight_bits = faster_engine.engine_for(report(vnni=True))
    assert of_eight_bits.name == "OpenVINO"
    assert "eight-bit" in faster_engine.question(of_eight_bits)
    rows = [line.part for line in installation_lines(report(vnni=True))]
    assert [row for row in rows if row.startswith("Faster")] == ["Faster computing (OpenVINO)"]
    kept = report(vnni=True, engines={"openvino": None, "mnn": "3.6.1"})
    assert faster_engine.engine_for(kept).name == "MNN", "the one that is there can be removed"
    assert not faster_engine.is_offered(kept), "never both"


def test_nothing_is_offered_before_the_worker_has_looked() -> None:
    assert not faster_engine.is_offered({})


def test_engines_that_are_installed_are_named_with_their_versions() -> None:
    lines = installation_lines(report(engines={"openvino": "2026.4.1", "onnx": None, "mnn": "3.6.1"}))
    found = {line.part: line.version for line in lines if line.state == "installed"}
    assert found == {"Faster computing (MNN)": "3.6.1", "Faster computing (OpenVINO)": "2026.4.1"}


def test_the_panel_asks_for_what_the_librarys_extra_asks_for() -> None:
    import tomllib

    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))
    for engine in faster_engine.ENGINES.values():
        assert project["project"]["optional-dependencies"][engine.kind] == engine.requirements


def test_a_bundle_brings_the_engine_only_where_it_is_in_use() -> None:
    assert "MNN" not in packages_of_bundle(WHOLE)
    packages = packages_of_bundle(report(engines={"mnn": "3.6.1"}))
    assert {"torch", "safetensors", "MNN", "onnxscript"} <= set(packages)
    assert engine_is_among(requirements_of({"MNN": "3.6.1"}, packages))
    assert not engine_is_among(["torch==2.13.0+cpu", "mnn-like>=1"])


def test_every_installed_package_is_held_at_its_version_or_only_those_named(tmp_path: Path) -> None:
    import numpy

    versions = {"numpy": "2.4.6", "SimpleITK": "2.5.7", "torch": "2.13.0+cpu"}
    assert constraints(versions) == "numpy==2.4.6\nSimpleITK==2.5.7\ntorch==2.13.0+cpu\n"
    assert constraints(versions, ("simpleitk", "scipy")) == "SimpleITK==2.5.7\n"
    assert f"numpy=={numpy.__version__}" in write_constraints(tmp_path).read_text().splitlines()


def test_a_package_whose_record_is_damaged_is_left_out_of_the_constraints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in {
        "whole": "Name: whole\nVersion: 1.0\n",
        "odd": "Name: odd\nVersion: of today\n",
        "bare": "",
    }.items():
        folder = tmp_path / f"{name}-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\n{text}")
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert installed_versions() == {"whole": "1.0"}


def needy_wheel(folder: Path, needs: str) -> None:
    """A wheel that asks for another package."""
    path = wheel(folder, "needy")
    with zipfile.ZipFile(path) as packed:
        files = {name: packed.read(name) for name in packed.namelist()}
    files["needy-1.0.dist-info/METADATA"] += f"Requires-Dist: {needs}\n".encode()
    with zipfile.ZipFile(path, "w") as packed:
        for name, data in files.items():
            packed.writestr(name, data)


def look_with_pip(folder: Path, requirement: str, kept: str) -> subprocess.CompletedProcess[str]:
    """pip's look at what would be installed, as the panel has it done, from a folder of wheels."""
    (folder / "kept.txt").write_text(kept)
    words = [
        each
        for each in faster_engine.look_arguments(faster_engine.MNN, folder / "kept.txt")
        if each not in faster_engine.MNN.requirements
    ]
    command = [
        sys.executable,
        *words,
        "--no-index",
        "--find-links",
        str(folder),
        "--target",
        str(folder / "to"),
        requirement,
    ]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_what_would_replace_a_kept_package_is_refused_by_pip_and_named_in_words(tmp_path: Path) -> None:
    needy_wheel(tmp_path, "tiny-wheel>=2")
    wheel(tmp_path, version="1.0")
    wheel(tmp_path, version="2.0")
    done = look_with_pip(tmp_path, "needy", "tiny-wheel==1.0\n")
    assert done.returncode != 0
    assert packages_in_the_way(done.stdout + done.stderr) == ["tiny-wheel"]
    sentence = faster_engine.why_not(faster_engine.MNN, done.stdout + done.stderr)
    assert "another version of tiny-wheel" in sentence
    assert "never replaced" in sentence
    assert look_with_pip(tmp_path, "needy", "other==1.0\n").returncode == 0
    assert not (tmp_path / "to").exists(), "a look installs nothing"


def test_an_engine_that_cannot_be_downloaded_is_told_with_the_words_of_pip(tmp_path: Path) -> None:
    done = look_with_pip(tmp_path, "no-such-package-here", "")
    sentence = faster_engine.why_not(faster_engine.MNN, done.stdout + done.stderr)
    assert "Nothing was installed" in sentence
    assert "no-such-package-here" in sentence


# -- the offline bundle ----------------------------------------------------------------------------------------

REQUIREMENTS = ["torch==2.13.0+cpu", "tiny-wheel==1.0"]


def wheel(folder: Path, name: str = "tiny_wheel", version: str = "1.0") -> Path:
    """A wheel that pip can install."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr(f"{name}.py", f"VERSION = '{version}'\n")
        packed.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: {version}\n"
        )
        packed.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        packed.writestr(f"{info}/RECORD", "")
    return path


def silent(done: int, total: int) -> None:
    pass


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    wheel(tmp_path / "wheels")
    model = tiny_model(tmp_path / "models" / "Läsion 1")
    (model / "preview.png").write_bytes(b"a patient")
    (tmp_path / "models" / ".trainings").mkdir()
    target = tmp_path / "offline.zip"
    about = {"clamseg": "0.1.0", "requirements": ["tiny-wheel==1.0"]}
    make_bundle(target, tmp_path / "wheels", tmp_path / "models", about, silent)
    return target


def unpacked(bundle: Path, tmp_path: Path) -> tuple[dict[str, Any], Path]:
    folder = tmp_path / "unpacked"
    folder.mkdir()
    return unpack_bundle(bundle, folder, silent), folder


def test_what_is_packed_comes_out_bit_for_bit_and_no_picture_of_a_training(bundle: Path, tmp_path: Path) -> None:
    manifest, folder = unpacked(bundle, tmp_path)
    for source in (tmp_path / "wheels").iterdir():
        assert (folder / "wheels" / source.name).read_bytes() == source.read_bytes()
    files = {path.name for path in (folder / "models" / "Läsion 1").iterdir()}
    assert files == {"config.json", "weights.safetensors", "card.md", "run.json"}
    assert manifest["requirements"] == ["tiny-wheel==1.0"]
    assert not bundle.with_name(".offline.zip.part").exists()


def rewritten(bundle: Path, change: Callable[[dict[str, bytes], dict[str, Any]], None]) -> Path:
    """The bundle with other contents; `change` gets its files and its manifest."""
    with zipfile.ZipFile(bundle) as packed:
        files = {name: packed.read(name) for name in packed.namelist() if name != "manifest.json"}
        manifest = json.loads(packed.read("manifest.json"))
    change(files, manifest)
    with zipfile.ZipFile(bundle, "w") as packed:
        for name, data in files.items():
            packed.writestr(name, data)
        packed.writestr("manifest.json", json.dumps(manifest))
    return bundle


def add(name: str) -> Callable[[dict[str, bytes], dict[str, Any]], None]:
    def change(files: dict[str, bytes], manifest: dict[str, Any]) -> None:
        files[name] = b"x"
        manifest["files"][name] = {"sha256": hashlib.sha256(b"x").hexdigest(), "bytes": 1}

    return change


def damage(files: dict[str, bytes], manifest: dict[str, Any]) -> None:
    name = next(name for name in files if name.endswith(".whl"))
    files[name] = files[name][:-1] + bytes([files[name][-1] ^ 1])


def grow(files: dict[str, bytes], manifest: dict[str, Any]) -> None:
    files[next(name for name in files if name.endswith(".whl"))] += b"more"


def hide(files: dict[str, bytes], manifest: dict[str, Any]) -> None:
    files["wheels/hidden-1.0-py3-none-any.whl"] = b"x"


def lose(files: dict[str, bytes], manifest: dict[str, Any]) -> None:
    del files[next(name for name in files if name.endswith(".whl"))]


def say(key: str, value: Any) -> Callable[[dict[str, bytes], dict[str, Any]], None]:
    return lambda files, manifest: manifest.update({key: value})


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (damage, "damaged"), (grow, "damaged"), (hide, "not_listed"), (lose, "not_listed"),
        (add("../evil.whl"), "wrong_place"), (add("/etc/evil.whl"), "wrong_place"),
        (add("wheels/../../evil.whl"), "wrong_place"), (add("models/../config.json"), "wrong_place"),
        (add("wheels/a\\..\\evil.whl"), "wrong_place"), (add("models/m/run.exe"), "wrong_place"),
        (add("wheels/C:evil.whl"), "wrong_place"), (add("else/evil.whl"), "wrong_place"),
        (say("python", "3.9"), "other_python"), (say("platform", "win-arm64"), "other_platform"),
        (say("format", 2), "other_format"), (say("requirements", ["--index-url http://x"]), "no_bundle"),
        (say("requirements", "torch"), "no_bundle"), (say("files", []), "no_bundle"),
    ],
)  # fmt: skip
def test_a_bundle_that_is_not_as_it_was_made_is_refused_in_words(
    bundle: Path, tmp_path: Path, change: Any, kind: str
) -> None:
    with pytest.raises(BundleError) as refused:
        unpacked(rewritten(bundle, change), tmp_path)
    assert refused.value.kind == kind
    sentence = bundle_problem(refused.value.kind, refused.value.values)
    assert len(sentence) > 40
    assert "{" not in sentence
    assert not (tmp_path / "evil.whl").exists()


def test_what_is_no_bundle_is_told(tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_bytes(b"no zip at all")
    with pytest.raises(BundleError, match="no_bundle"):
        unpacked(tmp_path / "x.zip", tmp_path)
    with pytest.raises(BundleError, match="no_wheels"):
        make_bundle(tmp_path / "y.zip", tmp_path, None, {}, silent)
    assert not (tmp_path / "y.zip").exists()


def test_a_bundle_that_cannot_be_made_leaves_the_one_before_and_nothing_else(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = bundle.read_bytes()

    def full(done: int, total: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OutputError, match="No space left"):
        make_bundle(bundle, tmp_path / "wheels", None, {}, full)
    assert bundle.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["models", "offline.zip", "wheels"]


def test_the_process_makes_a_bundle_and_says_in_words_what_the_disk_refuses(tmp_path: Path) -> None:
    wheel(tmp_path / "wheels")
    (tmp_path / "file").write_text("x")

    def made(target: Path) -> dict[str, Any]:
        values = {"target": str(target), "wheels": str(tmp_path / "wheels"), "about": {}}
        words = [sys.executable, *bundle_process_arguments("make", values)]
        bare = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        done = subprocess.run(words, capture_output=True, text=True, check=True, cwd=tmp_path, env=bare)
        event: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return event

    assert made(tmp_path / "new.zip")["bytes"] == (tmp_path / "new.zip").stat().st_size
    assert made(tmp_path / "file" / "new.zip")["kind"] == "disk"


def test_a_cut_off_bundle_is_refused(bundle: Path, tmp_path: Path) -> None:
    bundle.write_bytes(bundle.read_bytes()[:-200])
    with pytest.raises(BundleError, match="no_bundle"):
        unpacked(bundle, tmp_path)


def test_a_full_disk_is_told_before_anything_is_unpacked(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(offline_bundle.shutil, "disk_usage", lambda folder: usage._replace(free=1000))
    with pytest.raises(BundleError, match="disk_full"):
        unpacked(bundle, tmp_path)
    assert list((tmp_path / "unpacked").iterdir()) == []


def test_macs_of_other_versions_count_as_the_same_kind() -> None:
    assert offline_bundle._same_platform("macosx-11.0-arm64", "macosx-13.3-arm64")
    assert not offline_bundle._same_platform("macosx-11.0-arm64", "macosx-11.0-x86_64")
    assert not offline_bundle._same_platform("linux-x86_64", "win-amd64")


def test_the_process_tells_progress_and_its_end(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "into").mkdir()

    def run(**values: str) -> list[dict[str, Any]]:
        arguments = bundle_process_arguments("unpack", values)
        done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=True, cwd=tmp_path)
        return [json.loads(line) for line in done.stdout.splitlines()]

    events = run(bundle=str(bundle), folder=str(tmp_path / "into"))
    assert [event["event"] for event in events][-2:] == ["progress", "done"]
    assert events[-1]["manifest"]["requirements"] == ["tiny-wheel==1.0"]
    assert run(bundle=str(tmp_path / "gone.zip"), folder=str(tmp_path))[-1]["kind"] == "disk"


def test_pip_installs_from_the_bundle_without_any_network(bundle: Path, tmp_path: Path) -> None:
    manifest, folder = unpacked(bundle, tmp_path)
    (call,) = install_arguments(folder, manifest, torch_is_broken=False)
    command = [sys.executable, "-m", "pip", "install", "--target", str(tmp_path / "site"), *call]
    subprocess.run(command, check=True, capture_output=True)
    assert (tmp_path / "site" / "tiny_wheel.py").read_text() == "VERSION = '1.0'\n"


def test_a_broken_torch_is_put_in_anew_from_the_bundle() -> None:
    first, second = install_arguments(Path("x"), {"requirements": REQUIREMENTS}, torch_is_broken=True)
    assert first[-3:] == ["--force-reinstall", "--no-deps", "torch==2.13.0+cpu"]
    assert second[-2:] == REQUIREMENTS
    assert all("--no-index" in call for call in (first, second))


def test_wheels_are_those_that_work_here() -> None:
    versions = {"torch": "2.13.0+cu126", "safetensors": None}
    requirements = requirements_of(versions, {"torch": ">=2.6", "safetensors": ">=0.4"})
    assert requirements == ["torch==2.13.0+cu126", "safetensors>=0.4"]
    arguments = download_arguments(requirements, Path("to"))
    assert arguments[arguments.index("--extra-index-url") + 1].endswith("/cu126")
    assert "--extra-index-url" not in download_arguments(["torch==2.13.0"], Path("to"))


# -- the support file ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "Cannot read /data/Meier Anna/scan 3.nii.gz: Permission denied.",
        "Cannot read 'C:\\Users\\meier\\Anna CT\\x.nrrd'.",
        "C:\\Users\\meier\\x.dcm is cut off; copy it again",
        'File "/srv/meier/site-packages/x.py", line 3',
        "meier_anna.nii.gz holds no slices",
        "PatientName MEIER^ANNA in series 1.2.840.113619.2.55.3.604688",
        "volume Anna Meier 1970: Memory ran out",
        "file:///srv/meier/x.png",
        "~/meier/anna is not a folder",
        "\\\\server\\meier\\share was not found",
    ],
)
def test_nobody_is_named_in_a_cleaned_text(text: str) -> None:
    cleaned = without_names(text, ["Anna Meier 1970"])
    assert "meier" not in cleaned.lower()
    assert "anna" not in cleaned.lower()
    assert "840" not in cleaned


def test_what_helps_to_find_the_fault_stays() -> None:
    text = "segmenting slices 3/9 and/or more: RuntimeError: CUDA out of memory. torch 2.13.0+cpu, Python 3.12.1"
    assert without_names(text, ["Anna"]) == text


def test_the_support_file_holds_versions_and_log_and_no_one(tmp_path: Path) -> None:
    installation = report(problems=[f"{Path.home()}/lib is broken"], models=[{"name": "meier"}])
    models = [
        {"name": "Meier Anna", "origin": "user", "problem": "x", "folder": "/data/meier"},
        {"name": "ct-lung-lesion", "origin": "shipped", "problem": ""},
    ]
    log = "reading meier.nrrd\nmodel Meier Anna loaded\nMeier is here"
    files = support_files({"clamseg": "0.1.0"}, installation, models, log, ["Meier"])
    write_support_bundle(tmp_path / "s.zip", files)
    with zipfile.ZipFile(tmp_path / "s.zip") as packed:
        assert set(packed.namelist()) == {"versions.json", "installation.json", "models.json", "log.txt"}
        everything = "".join(packed.read(name).decode() for name in packed.namelist())
    assert "meier" not in everything.lower()
    assert str(Path.home()) not in everything
    assert "2.13.0+cpu" in everything
    assert json.loads(files["models.json"]) == {"shipped": ["ct-lung-lesion"], "own": 1, "damaged": 1}


def test_a_full_disk_leaves_the_support_file_that_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_support_bundle(tmp_path / "s.zip", {"log.txt": "first"})
    before = (tmp_path / "s.zip").read_bytes()

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OutputError, match="No space left"):
        write_support_bundle(tmp_path / "s.zip", {"log.txt": "second"})
    assert (tmp_path / "s.zip").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["s.zip"]
