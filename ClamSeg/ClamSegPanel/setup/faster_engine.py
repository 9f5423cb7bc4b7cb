"""The optional engine that Setup offers to computers without a GPU: which, to whom, and what is said of it; without Qt.

One of two, never both (docs/research/performance.md): OpenVINO where the processor computes eight-bit networks, as
some shipped models bring them; else MNN, which gains most where PyTorch is slowest. Both have wheels for Windows, macOS and
Linux, and ask for no other NumPy than Slicer's.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ClamSegPanel.setup.kept_packages import error_of_pip, packages_in_the_way
from ClamSegWorkflow.words import tr as _


@dataclass(frozen=True)
class FasterEngine:
    """An engine that Setup can add.

    Attributes:
        kind: as the library calls it.
        name: as people call it.
        packages: what its extra of the library asks for, the one that computes first; others convert networks for it.
        download_mb: least and most that is downloaded, and `disk_mb` at most on the disk.
    """

    kind: str
    name: str
    packages: dict[str, str]
    download_mb: tuple[int, int]
    disk_mb: int

    @property
    def package(self) -> str:
        """The package that computes."""
        return next(iter(self.packages))

    @property
    def requirements(self) -> list[str]:
        """As pip takes them."""
        return [name + spec for name, spec in self.packages.items()]


MNN = FasterEngine("mnn", "MNN", {"MNN": ">=3.6", "onnx": ">=1.16", "onnxscript": ">=0.2"}, (15, 30), 120)
OPENVINO = FasterEngine("openvino", "OpenVINO", {"openvino": ">=2024.4"}, (35, 90), 250)
ENGINES = {engine.kind: engine for engine in (MNN, OPENVINO)}


def engine_for(report: dict[str, Any]) -> FasterEngine:
    """The engine that is in use, else the one that is faster on this processor.

    Args:
        report: the worker's look at the installation.
    """
    faster = OPENVINO if report.get("vnni") else MNN
    found = installed(report)
    return faster if faster.kind in found or not found else ENGINES[next(iter(found))]


def installed(report: dict[str, Any]) -> dict[str, str]:
    """Engines of `ENGINES` that are installed, with their versions, as the worker found them."""
    versions = report.get("engines") or {}
    return {kind: versions[kind] for kind in ENGINES if versions.get(kind)}


def is_offered(report: dict[str, Any]) -> bool:
    """Whether an engine would help: PyTorch works, no GPU does, and none is installed.

    Args:
        report: the worker's look at the installation.
    """
    gpu = any(device["works"] and device["name"] != "cpu" for device in report.get("devices") or [])
    return report.get("torch") is not None and "engines" in report and not gpu and not installed(report)


def question(engine: FasterEngine) -> str:
    """What a click on the offer asks."""
    gain = (
        _(
            "Without a GPU the networks run on the processor. {name} makes those faster that bring a copy of themselves in "
            "eight-bit numbers, as some of the shipped models do: about 2 to 3 times on long scans, on the processor that was "
            "measured; others little or not at all."
        )
        if engine is OPENVINO
        else _(
            "Without a GPU the networks run on the processor. {name} makes them faster on many: 1.1 to 1.5 times as fast on "
            "the processor that was measured, a little or not at all on the newest, which compute bfloat16."
        )
    )
    agreement = (
        _("99.5 % of the organ (99.9 % where it computes in full precision)")
        if engine is OPENVINO
        else _("99.9 % of the organ")
    )
    rest = _(
        "{least} to {most} MB are downloaded from the Python package index and take up to {disk} MB in this Slicer. "
        "Packages that are there stay as they are. {name} is open source (Apache-2.0), computes on this computer only "
        "and sends nothing.\n\n"
        "It is used only where the processor gains by it and it marks at least {agreement} as the trained network does; "
        "a lesion that just touches the threshold may appear or vanish. "
        "Slicer goes on running; only ClamSeg's background process starts anew. Install {name}?"
    )
    least, most = engine.download_mb
    words = gain + "\n\n" + rest
    return words.format(name=engine.name, least=least, most=most, disk=engine.disk_mb, agreement=agreement)


def install_arguments(engine: FasterEngine, constraints: Path) -> list[str]:
    """Arguments of `pip install` that add the engine and replace nothing.

    Args:
        constraints: file that holds everything that is installed.
    """
    return ["--only-binary", ":all:", "--constraint", str(constraints), *engine.requirements]


def look_arguments(engine: FasterEngine, constraints: Path) -> list[str]:
    """Arguments of Python that find out whether `install_arguments` would succeed, and change nothing."""
    pip = ["-m", "pip", "install", "--dry-run", "--disable-pip-version-check", "--no-input"]
    return pip + install_arguments(engine, constraints)


def why_not(engine: FasterEngine, words_of_pip: str) -> str:
    """The sentence for a look that failed."""
    names = packages_in_the_way(words_of_pip)
    if names:
        words = _(
            "{name} does not fit this Slicer: it needs another version of {packages}, and packages of this Slicer are "
            "never replaced. Nothing was installed; ClamSeg computes as before. A newer Slicer may fit."
        )
        return words.format(name=engine.name, packages=", ".join(names))
    words = _(
        "{name} could not be found or downloaded. Nothing was installed; ClamSeg computes as before. Look at the "
        "network and click again. pip says: {told}"
    )
    return words.format(name=engine.name, told=error_of_pip(words_of_pip))
