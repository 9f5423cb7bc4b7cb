"""Writes docs/configuration.md, the keys of `train --config`, from the docstrings of the configuration's classes.

python Packaging/write_configuration.py            writes it
python Packaging/write_configuration.py --check    says whether it differs and ends with 1
"""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
PAGE = REPOSITORY / "docs" / "configuration.md"
HEAD = """# Configuration

`clamseg train --config FILE` reads a JSON object with the parts `model` and `training`; each holds the keys that differ
from the default, or from the preset of the modality. Options of the command line come first. This page is made from the
docstrings by `python Packaging/write_configuration.py`.

```json
{"model": {"image_size": 128, "organ": {"margin_mm": 15}}, "training": {"validate_every": 50, "flip": false}}
```
"""


def described(kind: Any) -> dict[str, str]:
    """Field to its words in the docstring's part `Attributes`.

    Raises:
        ValueError: a field without words, or words without a field.
    """
    _, _, part = (kind.__doc__ or "").partition("Attributes:\n")
    words: dict[str, str] = {}
    for line in part.splitlines():
        entry = re.fullmatch(r" {8}(\w+): (.+)", line)
        if entry:
            words[entry[1]] = entry[2]
        elif line.startswith(" " * 12) and words:
            last = next(reversed(words))
            words[last] += f" {line.strip()}"
        elif line.strip():
            break
    names = [field.name for field in dataclasses.fields(kind)]
    if set(words) != set(names):
        raise ValueError(
            f"{kind.__name__}: {sorted(set(words) ^ set(names))} stand in only one of fields and docstring"
        )
    return {name: words[name] for name in names}


def default_of(field: Any) -> str:
    """The default as JSON, '' for one that is required or is a part of its own."""
    if field.default is dataclasses.MISSING or dataclasses.is_dataclass(field.default):
        return ""
    if isinstance(field.default, tuple) and any(map(dataclasses.is_dataclass, field.default)):
        return ""
    return f"`{json.dumps(field.default)}`"


def table(kind: Any) -> str:
    """One line a key: name, default, meaning."""
    words = described(kind)
    lines = ["| key | default | meaning |", "|---|---|---|"]
    lines += [
        f"| `{f.name}` | {default_of(f)} | {words[f.name].replace('|', chr(92) + '|')} |"
        for f in dataclasses.fields(kind)
    ]
    return "\n".join(lines)


def page() -> str:
    """What docs/configuration.md must read."""
    from ClamSegLib.model import config, decoding_config
    from ClamSegLib.objective.training_config import TrainingConfig

    parts = {
        "training": TrainingConfig,
        "model": config.ModelConfig,
        "model.network": config.NetworkConfig,
        "model.intensity": config.IntensityConfig,
        "model.organ": config.OrganConfig,
        "model.conditions, each": config.Condition,
        "model.normative": decoding_config.NormativeConfig,
        "model.volume_evidence": decoding_config.VolumeEvidenceConfig,
        "model.refinement": decoding_config.RefinementConfig,
    }
    return HEAD + "".join(f"\n## {name}\n\n{table(kind)}\n" for name, kind in parts.items())


def main(words: list[str]) -> int:
    """Entry point."""
    sys.path.insert(0, str(REPOSITORY))
    text = page()
    if PAGE.is_file() and PAGE.read_text(encoding="utf-8") == text:
        return 0
    print(f"{PAGE.relative_to(REPOSITORY)}: {'differs' if '--check' in words else 'written'}")
    if "--check" in words:
        return 1
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
