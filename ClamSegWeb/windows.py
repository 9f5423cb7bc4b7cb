"""Windows of a scan: the usual ones of CT, steps of brightness and contrast for all others, and greys turned round."""

from __future__ import annotations

from typing import Any

from ClamSegWorkflow.case.result_views import show_model_window
from ClamSegWorkflow.scene.views import set_window
from ClamSegWorkflow.scene.volume_facts import facts_of
from ClamSegWorkflow.words import tr as _

AUTOMATIC, MODEL, INVERTED = _("automatic"), _("as the model sees it"), _("inverted")
# Centre and width in HU, as radiologists set them.
CT_HU = {
    _("lung"): (-600.0, 1500.0), _("soft tissue"): (50.0, 400.0), _("bone"): (400.0, 1800.0), _("brain"): (40.0, 80.0),
}  # fmt: skip
# Shift of the level in parts of the width, and factor of the width.
STEPS = {
    _("brighter"): (-0.15, 1.0), _("darker"): (0.15, 1.0), _("more contrast"): (0.0, 0.75), _("less contrast"): (0.0, 4 / 3),
}  # fmt: skip
_GREY, _INVERTED_GREY = "vtkMRMLColorTableNodeGrey", "vtkMRMLColorTableNodeInvertedGrey"


def windows_of(scene: Any, case: Any) -> list[str]:
    """Names of the windows that make sense for a scan."""
    model = [MODEL] if case.result is not None else []
    is_ct = facts_of(scene, case.scan.volume).modality == "CT"
    return [*model, AUTOMATIC, *(CT_HU if is_ct else ()), *STEPS, INVERTED]


def show_window(case: Any, name: str) -> None:
    """One of them by its name."""
    volume, display = case.scan.volume, case.scan.volume.GetDisplayNode()
    if name == MODEL and case.result is not None:
        show_model_window(case.result, asked=True)
    elif name in CT_HU:
        centre, width = CT_HU[name]
        set_window(volume, centre - width / 2, centre + width / 2)
    elif name in STEPS:
        shift, factor = STEPS[name]
        centre, width = display.GetLevel() + shift * display.GetWindow(), factor * display.GetWindow()
        set_window(volume, centre - width / 2, centre + width / 2)
    elif name == INVERTED:
        # Only the colours: the display's own switch for inverted greys says that the file is inverted, and counts for models.
        is_inverted = display.GetColorNodeID() == _INVERTED_GREY
        display.SetAndObserveColorNodeID(_GREY if is_inverted else _INVERTED_GREY)
    elif name == AUTOMATIC:
        display.SetAutoWindowLevel(1)
