"""What is installed, what is missing, and what a click on Install or Repair will do; without Qt."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from ClamSegPanel.setup import faster_engine
from ClamSegPanel.setup.kept_packages import OF_SLICER
from ClamSegWorkflow.words import tr as _

TORCH_VERSION = ">=2.6"
# What a click installs; versions as the library asks for them. Of these Slicer lacks safetensors, and before 5.12 highdicom.
PACKAGES = {"safetensors": ">=0.4", "pydicom": ">=3.0", "highdicom": ">=0.24"}
OPTIONAL = {"optuna": ">=4.0"}


@dataclass(frozen=True)
class InstallationLine:
    """One line of the table: part, version, state in words, and whether it works."""

    part: str
    version: str
    state: str
    works: bool


@dataclass(frozen=True)
class InstallationSteps:
    """What is to be done.

    Attributes:
        torch: PyTorch is to be installed.
        remove_torch_first: what is there of PyTorch is damaged.
        packages: requirements for pip.
        for_slicer: packages of Slicer itself that are missing; only another Slicer helps.
    """

    torch: bool = False
    remove_torch_first: bool = False
    packages: tuple[str, ...] = ()
    for_slicer: tuple[str, ...] = ()

    @property
    def is_nothing(self) -> bool:
        """Whether all is there."""
        return not (self.torch or self.packages or self.for_slicer)

    def words(self) -> str:
        """What will be installed, for the user's yes."""
        parts = [_("PyTorch {version}").format(version=TORCH_VERSION)] if self.torch else []
        return ", ".join([*parts, *self.packages])


class Host(Protocol):
    """What an application can install with; called on the main thread after a click only."""

    def install_torch(self, version: str) -> None:
        """Installs PyTorch for this computer's GPU."""

    def remove_torch(self) -> None:
        """Removes what is there of PyTorch."""

    def install(self, requirements: list[str]) -> None:
        """Installs packages from the network."""


def steps_to_install(report: dict[str, Any], *, is_there: Callable[[str], bool]) -> InstallationSteps:
    """What Install does.

    Args:
        report: the worker's look at the installation; empty where the worker could not even start.
        is_there: whether an optional package can be found.
    """
    versions = report.get("packages") or {}
    missing = [name + spec for name, spec in PACKAGES.items() if versions.get(name) is None]
    missing += [name + spec for name, spec in OPTIONAL.items() if not is_there(name)]
    absent = versions.get("torch") is None
    return InstallationSteps(
        torch=report.get("torch") is None,
        remove_torch_first=report.get("torch") is None and not absent,
        packages=tuple(missing),
        for_slicer=tuple(name for name in OF_SLICER if report and versions.get(name) is None),
    )


def steps_to_repair(report: dict[str, Any]) -> InstallationSteps:
    """What Repair does: PyTorch anew, whatever is there of it."""
    versions = report.get("packages") or {}
    return InstallationSteps(torch=True, remove_torch_first=versions.get("torch") is not None)


def packages_of_bundle(report: dict[str, Any]) -> dict[str, str]:
    """What an offline bundle made here holds, package -> versions: with the faster engine where it is in use."""
    engine = faster_engine.engine_for(report).packages if faster_engine.installed(report) else {}
    return {"torch": TORCH_VERSION, **PACKAGES, **engine}


def engine_is_among(requirements: list[str]) -> bool:
    """Whether requirements of a bundle bring the faster engine."""
    computing = {engine.package for engine in faster_engine.ENGINES.values()}
    return any(re.split(r"[^\w.-]", each)[0] in computing for each in requirements)


def carry_out(steps: InstallationSteps, host: Host) -> None:
    """Does the steps: PyTorch first, since others may want to bring another one.

    Raises:
        Exception: whatever the host's installer raises.
    """
    if steps.remove_torch_first:
        host.remove_torch()
    if steps.torch:
        host.install_torch(TORCH_VERSION)
    if steps.packages:
        host.install(list(steps.packages))


def installation_lines(report: dict[str, Any]) -> list[InstallationLine]:
    """The table of Setup: what computes first, what it stands on below."""
    packages = dict(report.get("packages") or {})
    lines = [InstallationLine(_("Python"), str(report.get("python", "")), _("works"), True)]
    if "torch" in packages:
        lines.append(_package_line("torch", packages.pop("torch"), report))
    lines += [_device_line(device) for device in report.get("devices") or []]
    lines += _engine_lines(report)
    return lines + [_package_line(name, version, report) for name, version in packages.items()]


def _package_line(name: str, version: str | None, report: dict[str, Any]) -> InstallationLine:
    if version is None:
        only_for = {"highdicom": _("missing, needed for DICOM SEG and SR only")}.get(name)
        return InstallationLine(name, "", only_for or _("missing"), only_for is not None)
    if name == "torch" and report.get("torch") is None:
        return InstallationLine(name, version, _("does not work"), False)
    return InstallationLine(name, version, _("works"), True)


def _device_line(device: dict[str, Any]) -> InstallationLine:
    free, total = device.get("free_mb"), device.get("total_mb")
    words = _("{free:.1f} of {total:.1f} GB free")
    memory = words.format(free=free / 1024, total=total / 1024) if free and total else ""
    state = _("works") if device["works"] else _("does not work: {problem}").format(problem=device["problem"])
    return InstallationLine(f"{device['name']} {device['description']}".strip(), memory, state, device["works"])


def _engine_lines(report: dict[str, Any]) -> list[InstallationLine]:
    """Engines that are there, or the one that is offered; nothing where a GPU makes them needless."""
    part = _("Faster computing ({name})")
    found = faster_engine.installed(report)
    if not found and faster_engine.is_offered(report):
        return [
            InstallationLine(
                part.format(name=faster_engine.engine_for(report).name), "", _("not installed, optional"), True
            )
        ]
    return [
        InstallationLine(part.format(name=faster_engine.ENGINES[kind].name), version, _("installed"), True)
        for kind, version in found.items()
    ]
