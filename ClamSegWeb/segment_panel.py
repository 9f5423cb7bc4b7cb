"""How Segment looks."""

from __future__ import annotations

from typing import Any

from trame.widgets import html
from trame.widgets import vuetify3 as v3

from ClamSegWorkflow.words import tr as _

_BUSY = "['starting', 'running', 'importing', 'cancelling'].includes(run_state)"


def segment_panel(page: Any) -> None:
    """Model, level, device, the button and the progress."""
    v3.VSelect(
        v_model=("model",), items=("models",), label=_("Model"), density="compact", hide_details=True, classes="mb-1",
        disabled=(_BUSY,), id="model",
    )  # fmt: skip
    html.Div("{{ model_about }}", classes="text-caption text-grey-lighten-1", id="model-about")
    html.Div("{{ model_figures }}", classes="text-caption text-grey-lighten-1 mb-1", id="model-figures")
    html.Div(
        "{{ doubt }}", v_for="(doubt, k) in fit_doubts", key="k", classes="text-body-2 text-amber-lighten-2 fit-doubt"
    )
    with html.Div(classes="d-flex align-center ga-3"):
        v3.VSlider(
            v_model=("level",), min=1, max=("levels",), step=1, label=_("Level"), name=_("Level"), density="compact", hide_details=True,
            show_ticks="always", tick_size=3, disabled=(_BUSY,), id="level",
        )  # fmt: skip
        html.Div(
            "{{ level >= levels ? '" + _("accurate") + "' : level <= 1 ? '" + _("fast, finds less") + "' : '" + _("in between") + "' }}",
            classes="text-caption", style="min-width: 62px; max-width: 90px",
        )  # fmt: skip
    v3.VSelect(
        v_model=("device",), items=("devices",), label=_("Device"), density="compact", hide_details=True, classes="mb-2",
        disabled=(_BUSY,), id="device",
    )  # fmt: skip
    v3.VSelect(
        v_model=("organ_step",), items=("organ_steps",), label=_("Organ"), density="compact", hide_details=True, classes="mb-2",
        disabled=(_BUSY,), id="organ-step",
    )  # fmt: skip
    with v3.VBtn(
        block=True, color=(f"{_BUSY} ? 'grey-darken-1' : 'primary'",), click=(page.segment.segment_or_cancel, "[$event.detail]"),
        disabled=("!can_segment || !model || run_state === 'cancelling' || !!opening",), id="segment-button",
    ):  # fmt: skip
        html.Span("{{ " + _BUSY + " ? '" + _("Cancel") + "' : '" + _("Segment") + "' }}")
    v3.VProgressLinear(
        v_if=(_BUSY,), model_value=("run_total > 1 ? 100 * run_done / run_total : 0",), indeterminate=("run_total < 2",),
        height=6, classes="mt-2", id="progress",
    )  # fmt: skip
    html.Div("{{ run_words }}", classes="text-body-2 mt-1", id="run-words", raw_attrs=['aria-live="polite"'])
