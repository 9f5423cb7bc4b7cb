"""How the page looks: a bar, the sections on the left, the views beside them. No decision is taken here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trame.ui.vuetify3 import VAppLayout
from trame.widgets import client, html
from trame.widgets import vuetify3 as v3
from trame_slicer.app.logic.slice_view_logic import connect_slice_view_slider_to_state
from trame_slicer.app.ui.slider import Slider

from ClamSegWeb.input_panel import input_panel
from ClamSegWeb.review_panel import review_panel
from ClamSegWeb.scene_views import AXIAL, CORONAL, ORIENTATIONS, SAGITTAL, SOLID
from ClamSegWeb.segment_panel import segment_panel
from ClamSegWeb.training_panel import training_panel
from ClamSegWorkflow.words import tr as _

_SERVED = Path(__file__).resolve().parent / "served"
_DRAWER_WIDTH_PX = 400
# Letters at the edges of a slice view: left, right, top, bottom, the patient's right on the left.
_LETTERS = {AXIAL: "RLAP", CORONAL: "RLSI", SAGITTAL: "APSI"}
_EDGES = ("left:8px;top:50%", "right:8px;top:50%", "top:6px;left:50%", "bottom:46px;left:50%")
_STYLE = """
html { overflow: hidden; }
.v-btn { text-transform: none; letter-spacing: 0; }
.view-words { position: absolute; pointer-events: none; color: #e8ecf0; font: 13px sans-serif; text-shadow: 0 0 3px #000, 0 0 3px #000; }
.lesion-table td, .lesion-table th { padding: 2px 6px !important; height: 28px !important; font-size: 12px !important; }
.lesion-table tr { cursor: pointer; }
.lesion-table tr:focus-visible, .folder-entry:focus-visible { outline: 2px solid #90caf9; outline-offset: -2px; }
.lesion-table tr.chosen { background: #14507a; }
.lesion-table tr.rejected { opacity: .55; text-decoration: line-through; }
.v-expansion-panel-text__wrapper { padding: 4px 14px 12px; }
"""


def build_frame(page: Any) -> None:
    """Builds the page once."""
    server = page.server
    server.enable_module({"serve": {"clamseg": str(_SERVED)}, "scripts": ["clamseg/upload.js", "clamseg/size.js"]})
    page.state.trame__title = "ClamSeg"
    page.state.trame__favicon = None
    with VAppLayout(server) as layout:
        layout.root.theme = "dark"
        client.Style(_STYLE)
        _bar(page)
        with v3.VNavigationDrawer(permanent=True, width=_DRAWER_WIDTH_PX, id="sections"):
            _questions(page)
            with v3.VExpansionPanels(
                v_model=("open_sections", ["input", "segment", "review"]),
                multiple=True,
                variant="accordion",
                static=True,
            ):
                for name, words, fill in (
                    ("input", _("Input"), input_panel), ("segment", _("Segment"), segment_panel),
                    ("review", _("Review"), review_panel), ("training", _("Fine-tune"), training_panel),
                ):  # fmt: skip
                    with v3.VExpansionPanel(value=name):
                        v3.VExpansionPanelTitle(words, classes="py-2 font-weight-bold", static=True)
                        with v3.VExpansionPanelText(eager=True):
                            fill(page)
                with v3.VExpansionPanel(value="log", v_if=("log_lines.length",)):
                    v3.VExpansionPanelTitle(_("Log"), classes="py-2", static=True)
                    with v3.VExpansionPanelText():
                        html.Div(
                            "{{ line }}", v_for="(line, k) in log_lines", key="k", classes="text-caption", style="white-space: pre-line",
                        )  # fmt: skip
        with v3.VMain(style="height: 100vh"), html.Div(style="height: 100%; display: flex", id="views"):
            page.views.layouts.initialize_layout_grid(layout)


def _bar(page: Any) -> None:
    with v3.VAppBar(density="compact", flat=True, border=True):
        html.H1("ClamSeg", classes="text-h6 ml-4")
        html.Div("{{ scan_index >= 0 ? scans[scan_index].name : '' }}", classes="ml-6 text-body-1", id="scan-name")
        html.Div("{{ scan_facts }}", classes="ml-3 text-body-2 text-grey-lighten-1", id="scan-facts")
        v3.VSpacer()
        with v3.VBtn(variant="text", size="small", prepend_icon="mdi-contrast-circle", id="window-button"):
            html.Span(_("Window"))
            with v3.VMenu(activator="parent"), v3.VList(density="compact"):
                v3.VListItem(
                    v_for="name in windows", key="name", title=("name",), click=(page.input.set_window, "[name]"),
                    classes="window-choice",
                )  # fmt: skip
        with v3.VBtn(
            variant="text", size="small", click=page.views.fit, prepend_icon="mdi-fit-to-page-outline", id="fit-button"
        ):
            html.Span(_("Fit views"))
        html.Div(_("For research, not for diagnosis"), classes="mx-4 text-body-2 text-amber-lighten-2")


def _questions(page: Any) -> None:
    """Notices, and the question that waits for an answer; they stand above the sections and cover no picture."""
    with html.Div(
        raw_attrs=['aria-live="assertive"'],
        id="told",
        classes="ma-2",
        style="position: sticky; top: 8px; z-index: 5; background: #212121",
    ):
        with v3.VAlert(
            v_for="notice in notices", key="notice.id", closable=True, density="compact", classes="mb-2 text-body-2",
            type=("notice.kind === 'error' ? 'error' : 'info'",), variant="tonal",
            click_close=(page.close_notice, "[notice.id]"), raw_attrs=['data-testid="notice"'],
        ):  # fmt: skip
            html.Div("{{ notice.text }}", style="white-space: pre-line; color: #fff")
        with v3.VCard(v_if=("question",), classes="mb-2", color="amber-darken-4", variant="tonal", id="question"):
            v3.VCardTitle("{{ question.title }}", classes="text-body-1 font-weight-bold")
            with v3.VCardText():
                html.Div("{{ line }}", v_for="(line, k) in question.lines", key="k", classes="text-body-2")
            with v3.VCardActions():
                with v3.VBtn(click=(page.answer, "[true]"), id="question-yes", variant="tonal"):
                    html.Span("{{ question.yes }}")
                v3.VBtn(_("No"), click=(page.answer, "[false]"), id="question-no")


def slice_overlay(server: Any, _view_id: str, view: Any) -> None:
    """Over a slice view: its name, the patient's sides, and the slider through the slices."""
    name = view.get_singleton_tag()
    _area(name)
    colour = {AXIAL: "#F34A33", CORONAL: "#6DAD4A", SAGITTAL: "#EFD64D"}[name]
    html.Div(
        _(ORIENTATIONS[name]), classes="view-words", v_if=("!is_picture_shown",),
        style=f"left: 10px; top: 6px; color: {colour}",
    )  # fmt: skip
    for letter, place in zip(_LETTERS[name], _EDGES, strict=True):
        html.Div(letter, classes="view-words", v_if=("scan_index >= 0 && !is_picture_shown",), style=place)
    with html.Div(
        style="position: absolute; bottom: 18px; left: 8px; right: 8px", v_if=("scan_index >= 0 && !is_picture_shown",)
    ):
        Slider(
            typed_state=connect_slice_view_slider_to_state(server, view), density="compact", color=colour,
            thumb_size=12, track_size=2, theme="dark", id=f"slices-{name}", name=_("{plane} slices").format(plane=_(ORIENTATIONS[name])),
        )  # fmt: skip


def solid_overlay(_server: Any, _view_id: str, _view: Any) -> None:
    """Over the 3-D view: its name."""
    _area(SOLID)
    html.Div("3-D", classes="view-words", style="left: 10px; top: 6px")


def _area(name: str) -> None:
    """Names the place of a view in the page; clicks go through."""
    html.Div(id=f"view-{name}", style="position: absolute; inset: 0; pointer-events: none")
