"""What the dataset check says: findings, and whether a training would be refused."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Finding:
    """One line of the table."""

    severity: str
    check: str
    found: str
    advice: str = ""


@dataclass
class Examination:
    """Everything that was seen.

    Attributes:
        counts: rows by split and class, and patients by split.
    """

    folder: str
    classes: list[str]
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def add(self, severity: str, check: str, found: str, advice: str = "") -> None:
        """Adds a line to the table."""
        self.findings.append(Finding(severity, check, found, advice))

    @property
    def refused(self) -> bool:
        """Whether training would be refused."""
        return any(f.severity == "error" for f in self.findings)

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        return {**asdict(self), "refused": self.refused}
