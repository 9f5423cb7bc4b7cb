"""How Fine-tune looks."""

from __future__ import annotations

from typing import Any

from trame.widgets import html
from trame.widgets import vuetify3 as v3

from ClamSegWorkflow.words import tr as _

_RUNS = "['starting', 'running', 'paused', 'stopping'].includes(training_state)"


def training_panel(page: Any) -> None:
    """What to learn from, the buttons, the curves."""
    section = page.training
    html.Div(
        _("Trains on a folder in which images are sorted into normal and diseased, and on saved corrections."),
        classes="text-caption text-grey-lighten-1 mb-1",
    )  # fmt: skip
    with html.Div(classes="d-flex align-center ga-2 mb-1"):
        v3.VBtn(_("Use listed folder"), size="small", variant="tonal", click=section.use_listed_folder, id="use-folder")
        html.Div(
            "{{ training_images || '" + _("no folder chosen") + "' }}", classes="text-body-2", id="training-images"
        )
    v3.VCheckbox(
        v_model=("training_corrections",), label=_("My corrections"), density="compact", hide_details=True,
        disabled=("!has_corrections",), id="training-corrections",
    )  # fmt: skip
    v3.VSelect(
        v_model=("training_init",), items=("training_inits",), label=_("Start from"), density="compact", hide_details=True,
        classes="mb-2", id="training-init",
    )  # fmt: skip
    with html.Div(classes="d-flex ga-2 mb-2"):
        v3.VTextField(
            v_model=("training_name",), label=_("Name"), density="compact", hide_details=True, id="training-name"
        )
        v3.VTextField(
            v_model=("training_minutes",), label=_("Minutes"), type="number", density="compact", hide_details=True,
            style="max-width: 110px", id="training-minutes",
        )  # fmt: skip
    with html.Div(classes="d-flex ga-1"):
        v3.VBtn(_("Start"), size="small", color="primary", click=section.start, disabled=(_RUNS,), id="training-start")
        with v3.VBtn(
            size="small", variant="tonal", click=section.pause_or_go_on, disabled=(f"!{_RUNS}",), id="training-pause"
        ):
            html.Span("{{ training_state === 'paused' ? '" + _("Continue") + "' : '" + _("Pause") + "' }}")
        v3.VBtn(
            _("Stop"), size="small", variant="tonal", click=section.stop, disabled=(f"!{_RUNS}",), id="training-stop"
        )
        v3.VBtn(
            _("Resume"),
            size="small",
            variant="tonal",
            click=section.go_on,
            v_if=("training_can_go_on",),
            id="training-go-on",
        )
    v3.VProgressLinear(
        v_if=(_RUNS,), model_value=("training_total ? 100 * training_done / training_total : 0",),
        indeterminate=("training_total < 2",), height=5, classes="mt-2",
    )  # fmt: skip
    html.Div("{{ training_words }}", classes="text-body-2 mt-1", id="training-words")
    html.Div(v_html=("training_curves",), id="training-curves")
    html.Img(
        v_if=("training_preview",),
        src=("training_preview",),
        style="width: 100%",
        id="training-preview",
        alt=_("Outlines of the network so far"),
    )
