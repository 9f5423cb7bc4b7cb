"""How the page looks: a bar, the sections on the left, the views beside them. No decision is taken here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from trame.ui.vuetify3 import VAppLayout
from trame.widgets import client, html
from trame.widgets import vuetify3 as v3
from trame_slicer.app.logic.slice_view_logic import connect_slice_view_slider_to_state
from trame_slicer.app.ui.slider import Slider

from ClamSegWeb.decisions_panel import decisions_panel
from ClamSegWeb.input_panel import input_panel, kept_reviews, open_scans
from ClamSegWeb.keys_menu import keys_menu
from ClamSegWeb.review_panel import review_panel
from ClamSegWeb.scene_views import AXIAL, CORONAL, ORIENTATIONS, SAGITTAL, SOLID
from ClamSegWeb.segment_panel import segment_panel
from ClamSegWeb.shell import GONE
from ClamSegWeb.training_panel import training_panel
from ClamSegWorkflow.words import tr as _

_SERVED = Path(__file__).resolve().parent / "served"
_DRAWER_WIDTH_PX = 400
# Names of the sections before a result and of the one that needs it.
FIRST_STEPS, REVIEW = ("input", "segment"), "review"
# Letters at the edges of a slice view: left, right, top, bottom, the patient's right on the left.
_LETTERS = {AXIAL: "RLAP", CORONAL: "RLSI", SAGITTAL: "APSI"}
_EDGES = ("left:8px;top:50%", "right:8px;top:50%", "top:6px;left:50%", "bottom:58px;left:50%")
_STYLE = """
html { overflow: hidden; }
.v-btn { text-transform: none; letter-spacing: 0; }
.view-words { position: absolute; pointer-events: none; color: #e8ecf0; font: 13px sans-serif; text-shadow: 0 0 3px #000, 0 0 3px #000; }
.one-line { min-width: 0; white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
@media (max-width: 1500px) { .bar-words { display: none; } header .v-btn .v-btn__prepend { margin-inline: 0; } }
.side-letter { padding: 0 3px; border-radius: 3px; background: rgba(0, 0, 0, .45); }
.lesion-table td, .lesion-table th { padding: 2px 5px !important; height: 28px !important; font-size: 12px !important; }
/* A column more: its words are read whole beside a bar to roll the table by. */
.lesion-table.with-conditions td, .lesion-table.with-conditions th { padding: 2px !important; }
.lesion-table .v-table__wrapper { scrollbar-width: thin; }
.lesion-table tr { cursor: pointer; }
.lesion-table tr:focus-visible, .folder-entry:focus-visible { outline: 2px solid #90caf9; outline-offset: -2px; }
.folder-entry { min-height: 26px; line-height: 26px; }
/* What is clicked is at least 24 px high and wide. */
.v-btn--size-x-small { min-height: 24px; min-width: 24px; } .sort-button { min-height: 24px; min-width: 24px; }
:focus-visible { outline: 2px solid #90caf9; outline-offset: 1px; }
/* Fields and boxes hide their own input, and sliders draw their thumb. */
.v-field:has(:focus-visible), .v-selection-control:has(:focus-visible), .v-slider-thumb:focus-visible { outline: 2px solid #90caf9; outline-offset: 1px; }
.lesion-table tr.chosen { background: #14507a; }
.lesion-table tr.rejected { opacity: .55; text-decoration: line-through; }
/* Names of models are read whole, also the last word, that they are for non-commercial use. */
.v-select__selection-text, .v-select__content .v-list-item-title { white-space: normal !important; overflow: visible !important; }
.v-select .v-select__selection { height: auto; }
.crossed * { cursor: crosshair !important; }
.sort-button { font: inherit; color: inherit; background: none; border: 0; padding: 0; cursor: pointer; white-space: nowrap; }
.step-button { flex: 1 1 0; min-width: 0; } .step-button .v-btn__content { min-width: 0; overflow: hidden; }
.step-words { overflow: hidden; text-overflow: ellipsis; }
#sections-edge { position: absolute; top: 0; bottom: 0; right: 0; width: 6px; cursor: col-resize; touch-action: none; z-index: 5; }
#sections-edge:hover, #sections-edge:focus-visible { background: #90caf9; }
#sections .v-expansion-panel-title { min-height: 38px; }
.v-expansion-panel-text__wrapper { padding: 4px 12px 12px; }
"""


def build_frame(page: Any) -> None:
    """Builds the page once."""
    server = page.server
    server.enable_module(
        {
            "serve": {"clamseg": str(_SERVED)},
            "scripts": [
                f"clamseg/{name}.js"
                for name in ("order", "upload", "size", "keys", "clicks", "enlarge", "cross", "width", "unfold")
            ],
        }
    )
    page.state.trame__title = "ClamSeg"
    page.state.trame__template_error = GONE
    page.state.trame__favicon = None
    with VAppLayout(server) as layout:
        layout.root.theme = "dark"
        client.Style(_STYLE)
        _bar(page)
        with v3.VNavigationDrawer(
            v_model=("sections_shown", True), width=("sections_width", _DRAWER_WIDTH_PX), id="sections", disable_resize_watcher=True, mobile_breakpoint=0,
        ):  # fmt: skip
            with v3.Template(v_slot_prepend=True):
                html.Div(
                    id="sections-edge", title=_("Drag to make the sections wider or narrower"),
                    raw_attrs=[
                        f'role="separator" aria-orientation="vertical" tabindex="0" aria-label="{_("Width of the sections")}"',
                        'aria-valuemin="320" aria-valuemax="640" :aria-valuenow="sections_width"',
                    ],
                )  # fmt: skip
                _questions(page)
                html.Div(
                    "{{ `" + _("This page is open in ${windows_open} windows; all of them show and change the same review.") + "` }}",
                    v_if=("windows_open > 1",), classes="mx-3 my-1 text-caption text-amber-lighten-2", id="windows-open",
                    raw_attrs=['aria-live="polite"'],
                )  # fmt: skip
                kept_reviews(page)
                open_scans(page.input)
            with v3.Template(v_slot_append=True):
                decisions_panel(page.review)
            with v3.VExpansionPanels(
                v_model=("open_sections", [*FIRST_STEPS, REVIEW]),
                multiple=True,
                variant="accordion",
                static=True,
            ):
                for name, words, fill in (
                    (*FIRST_STEPS[:1], _("Input"), input_panel), (*FIRST_STEPS[1:], _("Segment"), segment_panel),
                    (REVIEW, _("Review"), review_panel), ("training", _("Fine-tune"), training_panel),
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
        with (
            v3.VMain(style="height: 100vh"),
            html.Div(style="height: 100%; display: flex", id="views", classes=("clicking ? 'crossed' : ''",)),
        ):
            page.views.layouts.initialize_layout_grid(layout)


def _bar(page: Any) -> None:
    with v3.VAppBar(density="compact", flat=True, border=True):
        with v3.VBtn(
            icon=True, size="small", click="sections_shown = !sections_shown", id="sections-button", title=_("Sections off and on") + " (S)",
            raw_attrs=[f'aria-label="{_("Sections")}" :aria-expanded="sections_shown" aria-keyshortcuts="S"'],
        ):  # fmt: skip
            v3.VIcon("mdi-menu")
        html.H1("ClamSeg", classes="text-h6 ml-4")
        html.Div(
            "{{ scan_index >= 0 ? scans[scan_index].title || scans[scan_index].name : '' }}",
            classes="ml-4 text-body-1 one-line",
            id="scan-name",
            style="flex: 0 2 auto",
            title=("scan_index >= 0 ? scans[scan_index].name : ''",),
        )
        html.Div(
            "{{ scan_facts }}",
            classes="ml-3 text-body-2 text-grey-lighten-1 one-line",
            id="scan-facts",
            style="flex: 0 4 auto",
            title=("scan_facts",),
        )
        v3.VSpacer()
        html.Div("{{ cursor_words }}", classes="text-body-2 mr-2", id="cursor-words", style="white-space: nowrap")
        with v3.VBtn(
            variant=("measuring ? 'flat' : 'text'",), size="small", click=page.distances.toggle, prepend_icon="mdi-ruler", id="distance-button",
            disabled=("scan_index < 0",), title=_("Two clicks in a view measure their distance") + " (D)",
            raw_attrs=[f'aria-label="{_("Distance")}" aria-keyshortcuts="D" :aria-pressed="measuring"'],
        ):  # fmt: skip
            html.Span(_("Distance"), classes="bar-words")
        with v3.VBtn(
            icon=True, size="x-small", variant="text", click=page.distances.clear, v_if=("distances",), id="distance-clear",
            title=_("Takes the distances away"), raw_attrs=[f'aria-label="{_("Take the distances away")}"'],
        ):  # fmt: skip
            v3.VIcon("mdi-close")
        with v3.VBtn(variant="text", size="small", prepend_icon="mdi-contrast-circle", id="window-button"):
            html.Span(_("Window"))
            with v3.VMenu(activator="parent"), v3.VList(density="compact"):
                v3.VListItem(
                    v_for="name in windows", key="name", title=("name",), click=(page.input.set_window, "[name]"),
                    classes="window-choice",
                )  # fmt: skip
        with v3.VBtn(
            variant="text", size="small", click=page.views.fit, prepend_icon="mdi-fit-to-page-outline", id="fit-button",
            title=_("The whole scan in every view") + " (F)", raw_attrs=[f'aria-label="{_("Fit views")}" aria-keyshortcuts="F"'],
        ):  # fmt: skip
            html.Span(_("Fit views"), classes="bar-words")
        keys_menu()
        html.Div(
            _("For research, not for diagnosis"),
            classes="mx-3 text-body-2 text-amber-lighten-2",
            style="white-space: nowrap",
        )


def _questions(page: Any) -> None:
    """Notices, and the question that waits for an answer; they stand above the sections and cover neither them nor a picture.

    Several notices are rolled, the newest on top, so that the sections keep their room.
    """
    with html.Div(
        raw_attrs=['aria-live="assertive"'], id="told", classes="mx-2", style="max-height: 45vh; overflow-y: auto",
    ):  # fmt: skip
        with (
            html.Div(
                id="notices", style="max-height: 20vh; overflow-y: auto; scrollbar-width: thin", v_if=("notices.length",),
            ),
            v3.VAlert(
                v_for="notice in [...notices].reverse()", key="notice.id", closable=True, density="compact", classes="my-1 py-1 text-body-2",
                type=("notice.kind === 'error' ? 'error' : 'info'",), variant="tonal",
                click_close=(page.close_notice, "[notice.id]"), raw_attrs=['data-testid="notice"'],
            ),
        ):  # fmt: skip
            html.Div("{{ notice.text }}", style="white-space: pre-line; color: #fff")
        with v3.VCard(v_if=("question",), classes="my-2", color="amber-darken-4", variant="tonal", id="question"):
            v3.VCardTitle("{{ question.title }}", classes="text-body-1 font-weight-bold")
            with v3.VCardText():
                html.Div("{{ line }}", v_for="(line, k) in question.lines", key="k", classes="text-body-2")
            with v3.VCardActions():
                with v3.VBtn(
                    click=(page.answer_asked, "[true, question.id, $event.detail]"), key=("question.id",), id="question-yes", variant="tonal",
                ):  # fmt: skip
                    html.Span("{{ question.yes }}")
                v3.VBtn(_("No"), click=(page.answer_asked, "[false, question.id, $event.detail]"), id="question-no")


def slice_overlay(enlarge: Callable[[str], None], server: Any, _view_id: str, view: Any) -> None:
    """Over a slice view: its name and slice, the patient's sides, and the slider through the slices."""
    name = view.get_singleton_tag()
    _area(name)
    colour = {AXIAL: "#F34A33", CORONAL: "#6DAD4A", SAGITTAL: "#EFD64D"}[name]
    html.Div(
        _(ORIENTATIONS[name]) + " {{ slice_of['" + name + "'] }}", classes="view-words", v_if=("!is_picture_shown",),
        style=f"left: 10px; top: 6px; color: {colour}", id=f"slice-of-{name}",
    )  # fmt: skip
    if name == AXIAL:
        html.Div(
            "{{ window_words }}", classes="view-words", v_if=("scan_index >= 0",), style="left: 10px; top: 24px; opacity: .85", id="window-words"
        )  # fmt: skip
    _enlarge_button(enlarge, name, _(ORIENTATIONS[name]))
    for letter, place in zip(_LETTERS[name], _EDGES, strict=True):
        html.Div(letter, classes="view-words side-letter", v_if=("scan_index >= 0 && !is_picture_shown",), style=place)
    with html.Div(
        style="position: absolute; bottom: 18px; left: 8px; right: 8px", v_if=("scan_index >= 0 && !is_picture_shown",)
    ):
        Slider(
            typed_state=connect_slice_view_slider_to_state(server, view), density="compact", color=colour,
            thumb_size=12, track_size=2, theme="dark", id=f"slices-{name}", name=_("{plane} slices").format(plane=_(ORIENTATIONS[name])),
        )  # fmt: skip


def solid_overlay(enlarge: Callable[[str], None], _server: Any, _view_id: str, _view: Any) -> None:
    """Over the 3-D view: its name."""
    _area(SOLID)
    html.Div(
        "3-D{{ solid_words ? ': ' + solid_words + ' ...' : solid && tool ? ': " + _("surfaces come back with Done") + "' : '' }}", classes="view-words", style="left: 10px; top: 6px",
        id="solid-words", raw_attrs=['aria-live="polite"'],
    )  # fmt: skip
    _enlarge_button(enlarge, SOLID, "3-D")


def _enlarge_button(enlarge: Callable[[str], None], name: str, words: str) -> None:
    """What a double click on the view clicks, and those without a mouse."""
    with v3.VBtn(
        icon=True, size="x-small", variant="text", click=(enlarge, f"['{name}']"), id=f"enlarge-{name}",
        v_if=("scan_index >= 0 && !is_picture_shown",), style="position: absolute; right: 4px; top: 2px",
        title=_("One view alone, or all again; also by a double click"),
        raw_attrs=[f"""aria-label="{_('Enlarge')} {words}" :aria-pressed="enlarged === '{name}'" """],
    ):  # fmt: skip
        v3.VIcon(icon=(f"enlarged === '{name}' ? 'mdi-arrow-collapse' : 'mdi-arrow-expand'",), size="small")


def _area(name: str) -> None:
    """Names the place of a view in the page; clicks go through."""
    html.Div(id=f"view-{name}", style="position: absolute; inset: 0; pointer-events: none")
