"""Which words may name a model, and so its folder on every system."""

from __future__ import annotations

from ClamSegWorkflow.words import tr as _

_FORBIDDEN = '<>:"/\\|?*'
_RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}
_LONGEST = 80


def problem_of_name(name: str) -> str:
    """What is wrong with a name, with what to do; '' where nothing is. Spaces and letters of any language are fine."""
    if not name.strip():
        return _("The new model has no name; give it one.")
    if name != name.strip() or name.startswith((".", "-")) or name.endswith("."):
        return _(
            "The name '{name}' may not begin or end with a space or a dot, nor begin with a hyphen; choose another."
        ).format(name=name)
    wrong = sorted({character for character in name if character in _FORBIDDEN or ord(character) < 32})
    if wrong:
        return _("The name '{name}' holds {signs}, which cannot stand in a folder's name; leave it out.").format(
            name=name, signs=" ".join(wrong)
        )
    if name.partition(".")[0].lower() in _RESERVED:
        return _("Windows keeps the name '{name}' for itself; choose another.").format(name=name)
    if len(name) > _LONGEST:
        return _("The name has {n} letters, {most} are allowed; choose a shorter one.").format(
            n=len(name), most=_LONGEST
        )
    return ""
