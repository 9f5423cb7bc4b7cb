"""The optional engine that Setup offers to computers without a GPU: which, to whom, and what is said of it; without Qt.

MNN, because it gains most where most is to gain: on processors without bfloat16, where PyTorch is slowest
(docs/research/performance.md). It has wheels for Windows, macOS and Linux, and asks for no other NumPy than Slicer's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ClamSegPanel.setup.kept_packages import error_of_pip, packages_in_the_way
from ClamSegWorkflow.words import tr as _

ENGINE, NAME, PACKAGE = "mnn", "MNN", "MNN"
# As the library's extra of that name asks for them; the last two convert networks for the first.
PACKAGES = {PACKAGE: ">=3.6", "onnx": ">=1.16", "onnxscript": ">=0.2"}
REQUIREMENTS = [name + spec for name, spec in PACKAGES.items()]
# What `auto` chooses from, as people call it.
NAMES = {"mnn": "MNN", "openvino": "OpenVINO"}


def installed(report: dict[str, Any]) -> dict[str, str]:
    """Engines of `NAMES` that are installed, with their versions, as the worker found them."""
    versions = report.get("engines") or {}
    return {kind: versions[kind] for kind in NAMES if versions.get(kind)}


def is_offered(report: dict[str, Any]) -> bool:
    """Whether an engine would help: PyTorch works, no GPU does, and none is installed.

    Args:
        report: the worker's look at the installation.
    """
    gpu = any(device["works"] and device["name"] != "cpu" for device in report.get("devices") or [])
    return report.get("torch") is not None and "engines" in report and not gpu and not installed(report)


def question() -> str:
    """What a click on the offer asks."""
    return _(
        "Without a GPU the networks run on the processor. {name} makes them faster on many: 1.1 to 1.5 times as fast on "
        "the processor that was measured, a little or not at all on the newest, which compute bfloat16.\n\n"
        "15 to 30 MB are downloaded from the Python package index and take up to 120 MB in this Slicer. "
        "Packages that are there stay as they are. {name} is open source (Apache-2.0), computes on this computer only "
        "and sends nothing.\n\n"
        "It is used only where the processor gains by it and it marks at least 99.9 % of the organ as the trained network does; "
        "a lesion that just touches the threshold may appear or vanish. "
        "Slicer goes on running; only ClamSeg's background process starts anew. Install {name}?"
    ).format(name=NAME)


def install_arguments(constraints: Path) -> list[str]:
    """Arguments of `pip install` that add the engine and replace nothing.

    Args:
        constraints: file that holds everything that is installed.
    """
    return ["--only-binary", ":all:", "--constraint", str(constraints), *REQUIREMENTS]


def look_arguments(constraints: Path) -> list[str]:
    """Arguments of Python that find out whether `install_arguments` would succeed, and change nothing."""
    pip = ["-m", "pip", "install", "--dry-run", "--disable-pip-version-check", "--no-input"]
    return pip + install_arguments(constraints)


def why_not(words_of_pip: str) -> str:
    """The sentence for a look that failed."""
    names = packages_in_the_way(words_of_pip)
    if names:
        words = _(
            "{name} does not fit this Slicer: it needs another version of {packages}, and packages of this Slicer are "
            "never replaced. Nothing was installed; ClamSeg computes as before. A newer Slicer may fit."
        )
        return words.format(name=NAME, packages=", ".join(names))
    words = _(
        "{name} could not be found or downloaded. Nothing was installed; ClamSeg computes as before. Look at the "
        "network and click again. pip says: {told}"
    )
    return words.format(name=NAME, told=error_of_pip(words_of_pip))
