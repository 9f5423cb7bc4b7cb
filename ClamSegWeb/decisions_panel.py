"""The foot of the sections: decisions, drawing, undo and redo, always in sight while there is something to review."""

from __future__ import annotations

from typing import Any

from trame.widgets import html
from trame.widgets import vuetify3 as v3

from ClamSegWeb.click_panel import click_buttons, click_card
from ClamSegWorkflow.words import tr as _


def decisions_panel(review: Any) -> None:
    """Buttons; each names its key, by which `keys.js` finds it."""
    with html.Div(v_show=("has_lesions",), id="decisions", style="border-top: 1px solid #555; padding: 6px 12px 8px"):
        click_card(review.clicks)
        _drawing(review)
        _where(review)
        _decide(review)
        click_buttons(review.clicks)
        _steps(review)


def _where(review: Any) -> None:
    with html.Div(classes="d-flex align-center ga-1"):
        for words, step, icon, key in (
            (_("Previous lesion"), -1, "mdi-chevron-left", "P"), (_("Next lesion"), 1, "mdi-chevron-right", "N"),
        ):  # fmt: skip
            with v3.VBtn(
                icon=True, size="x-small", variant="text", click=(review.go, f"[{step}]"), disabled=("!lesion_rows.length",),
                id="next-lesion" if step > 0 else "previous-lesion", title=f"{words} ({key})",
                raw_attrs=[f'aria-label="{words}" aria-keyshortcuts="{key}"'],
            ):  # fmt: skip
                v3.VIcon(icon)
        html.Span(
            "{{ lesion_number ? '" + _("Lesion") + " ' + lesion_number : '" + _("No lesion chosen") + "' }}",
            classes="text-body-2", id="chosen-lesion",
        )  # fmt: skip
        v3.VSpacer()
        html.Span("{{ lesions_waiting }} " + _("undecided"), classes="text-caption", id="lesions-waiting")


def _decide(review: Any) -> None:
    with html.Div(classes="d-flex flex-wrap ga-1 mt-1"):
        for words, value, colour, key in (
            (_("Accept"), "accepted", "green-darken-3", "A"), (_("Reject"), "rejected", "red-darken-3", "R"),
            (_("Reset"), "undecided", "", "0"),
        ):  # fmt: skip
            v3.VBtn(
                words, size="small", color=colour or None, variant="flat" if colour else "tonal", click=(review.decisions.decide, f"['{value}', lesion_number, $event.detail]"),
                id=f"decide-{value}", disabled=("!lesion_number",), title=f"{words} ({key})",
                raw_attrs=[f'aria-keyshortcuts="{key}"'],
            )  # fmt: skip
        v3.VBtn(
            _("Edit"), size="small", variant="tonal", click=(review.edit, "[lesion_number]"), id="edit-button", disabled=("!lesion_number",),
            title=_("Edit") + " (E)", raw_attrs=['aria-keyshortcuts="E"'],
        )  # fmt: skip
        with v3.VBtn(
            v_for="condition in conditions", key="condition", size="small", variant="tonal",
            click=(review.add, "[condition]"), classes="add-button",
        ):  # fmt: skip
            html.Span("+ {{ several_conditions ? condition_names[condition] : '" + _("Draw lesion") + "' }}")


def _steps(review: Any) -> None:
    with html.Div(classes="d-flex align-center ga-1 mt-1"):
        for words, call, key, state, name in (
            (_("Undo"), review.decisions.undo, "U", "undo_words", "undo-button"), (_("Redo"), review.decisions.redo, "Y", "redo_words", "redo-button"),
        ):  # fmt: skip
            with v3.VBtn(
                size="small", variant="tonal", click=call, disabled=(f"!{state}",), id=name, classes="step-button",
                raw_attrs=[f'aria-keyshortcuts="{key}"', f':title="{state} ? `{words}: ${{{state}}} ({key})` : `{words} ({key})`"'],
            ):  # fmt: skip
                html.Span(f"{words}{{{{ {state} ? ': ' + {state} : '' }}}}", classes="step-words")
    html.Div(
        _("Not exported yet"), v_if=("waits_for_export",), classes="text-caption text-amber-lighten-2", id="not-exported",
    )  # fmt: skip


def _drawing(review: Any) -> None:
    with v3.VCard(v_if=("tool",), variant="tonal", classes="mb-2 pa-2", color="blue-lighten-3", id="drawing"):
        html.Div(_("Drawing:") + " {{ drawing_words }}", classes="text-body-2 mb-1")
        with html.Div(classes="d-flex align-center ga-1"):
            for words, tool, icon, key in (
                (_("Paint"), "paint", "mdi-brush", "B"), (_("Erase"), "erase", "mdi-eraser", "X"),
            ):  # fmt: skip
                v3.VBtn(
                    words, size="small", click=(review.choose_tool, f"['{tool}']"), id=f"tool-{tool}", prepend_icon=icon,
                    variant=(f"tool === '{tool}' ? 'flat' : 'outlined'",), color=(f"tool === '{tool}' ? 'blue-darken-2' : undefined",), title=f"{words} ({key})",
                    raw_attrs=[f'aria-keyshortcuts="{key}"', f":aria-pressed=\"tool === '{tool}'\""],
                )  # fmt: skip
            v3.VBtn(
                _("Done"), size="small", color="primary", click=review.stop_drawing, id="drawing-done",
                title=_("Done") + " (Enter)", raw_attrs=['aria-keyshortcuts="Enter"'],
            )  # fmt: skip
        v3.VSlider(
            v_model=("tool_size",), min=1, max=40, step=1, label=_("Brush, mm"), name=_("Brush, mm"), density="compact", hide_details=True,
            thumb_label=True, id="tool-size",
        )  # fmt: skip
