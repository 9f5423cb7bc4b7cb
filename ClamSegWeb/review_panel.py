"""How Review looks: result, threshold, lesion table, drawing, slices, export."""

from __future__ import annotations

from typing import Any

from trame.widgets import html
from trame.widgets import vuetify3 as v3

from ClamSegWorkflow.case.dicom_report import BY_WORKER
from ClamSegWorkflow.case.table_view import COLUMNS
from ClamSegWorkflow.scene.overlays import DOUBT, PROBABILITY
from ClamSegWorkflow.words import tr as _

_HEADS = dict(zip(COLUMNS, (_("No."), _("slices"), _("size"), _("prob."), _("doubt"), _("decision")), strict=True))
_EXPORTS = (
    ("segmentation", _("Segmentation (.seg.nrrd)")), ("nifti", _("Labels (NIfTI)")), ("legend", _("Legend of the labels (CSV)")), ("table", _("Lesion table (CSV)")),
    ("report", _("Report (HTML)")), ("dicom", _("DICOM SEG")), ("dicom_sr", _("DICOM SR with its SEG (.zip)")),
)  # fmt: skip


def review_panel(page: Any) -> None:
    """Everything that needs a result is there only with one."""
    html.Div(
        _("Nothing to review yet; open a scan and click Segment."), v_if=("!has_result",),
        classes="text-body-2 text-grey-lighten-1", id="no-result",
    )  # fmt: skip
    with html.Div(v_show=("has_result",)):
        html.Div(
            "{{ summary }}", classes="text-body-2 font-weight-bold", id="summary", raw_attrs=['aria-live="polite"']
        )
        html.Div("{{ certificate }}", classes="text-caption", id="certificate")
        html.Div(
            "{{ warning }}", v_for="(warning, k) in result_warnings", key="k",
            classes="text-caption text-amber-lighten-2 result-warning",
        )  # fmt: skip
        _look(page.review)
        with html.Div(v_show=("has_lesions",)):
            _threshold(page.review)
            _filters(page.review)
            _table(page.review)
            _slices(page.review)
        _export(page)


def _look(review: Any) -> None:
    with html.Div(classes="d-flex align-center ga-1 mt-1"):
        with v3.VBtnToggle(
            model_value=("overlay",), density="compact", divided=True, mandatory=True, variant="outlined",
            update_modelValue=(review.show_map, "[$event]"), style="height: 28px", v_if=("has_lesions",), id="maps",
        ):  # fmt: skip
            for value, words in (
                ("none", _("no map")),
                (PROBABILITY, _("probability")),
                (DOUBT, _("doubt")),
            ):
                v3.VBtn(words, value=value, size="x-small", id=f"map-{value}", static=True)
        with v3.VBtn(
            size="x-small",
            variant="tonal",
            click=review.toggle_hidden,
            id="hide-button",
            title=_("All marks off and on") + " (H)",
            raw_attrs=[':aria-pressed="hidden" aria-keyshortcuts="H"'],
        ):
            html.Span("{{ hidden ? '" + _("Show") + "' : '" + _("Hide") + "' }}")
        with v3.VBtn(
            size="x-small", variant="tonal", click=(review.show_solid, "[!solid]"), color=("solid ? 'primary' : ''",),
            id="solid-button", v_if=("has_depth",),
        ):  # fmt: skip
            html.Span("3-D")
    v3.VSlider(
        v_model=("opacity",), min=0, max=1, step=0.05, label=_("Opacity"), name=_("Opacity"), density="compact", hide_details=True,
        id="opacity",
    )  # fmt: skip


def _threshold(review: Any) -> None:
    # The slider says when the mouse lets go of it, and nothing where keys move it; who leaves it with the key held lets go too.
    let_go = (review.decisions.key_let_go, "[threshold, threshold_moving]")
    with html.Div(classes="d-flex align-center ga-2", __events=["focusout"], keyup=let_go, focusout=let_go):
        v3.VSlider(
            model_value=("threshold",), min=0.02, max=0.98, step=0.01, label=_("Threshold"), name=_("Threshold"), density="compact",
            hide_details=True, update_modelValue="threshold_moving = $event; threshold = $event",
            end=(review.decisions.set_threshold, "[$event]"), id="threshold",
        )  # fmt: skip
        html.Div(
            "{{ Number(threshold).toFixed(2) }}", classes="text-body-2", style="min-width: 34px", id="threshold-value"
        )


def _filters(review: Any) -> None:
    with html.Div(classes="d-flex align-center ga-2 mt-1", id="filters"):
        v3.VCheckbox(
            v_model=("undecided_only",), label=_("undecided only"), density="compact", hide_details=True, id="undecided-only",
        )  # fmt: skip
        v3.VTextField(
            v_model=("smallest_shown",), label=("`" + _("from") + " ${size_unit}`",), type="number", min=0, step=("size_unit === 'px' ? 10 : 0.05",),
            density="compact", hide_details=True, variant="outlined", id="smallest-shown", style="max-width: 92px",
        )  # fmt: skip
        v3.VBtn(
            _("Reject smaller"), size="x-small", variant="tonal", click=review.decisions.reject_small, id="reject-small",
            disabled=("!(Number(smallest_shown) > 0)",), title=_("Rejects all undecided lesions below this size, as one step of Undo"),
        )  # fmt: skip


def _table(review: Any) -> None:
    with v3.VTable(
        density="compact", classes=("`lesion-table ${several_conditions ? 'with-conditions' : ''}`",), fixed_header=True, id="lesions",
        style="max-height: clamp(150px, calc(100vh - 560px), 700px); overflow: auto",
    ):  # fmt: skip
        with html.Thead(), html.Tr():
            for column, words in _HEADS.items():
                with (
                    html.Th(
                        raw_attrs=[
                            f":aria-sort=\"sorted_by === '{column}' ? (sorted_down ? 'descending' : 'ascending') : 'none'\""
                        ]
                    ),
                    html.Button(
                        type="button",
                        click=(review.table.sort, f"['{column}']"),
                        classes="sort-button",
                        id=f"sort-{column}",
                    ),
                ):
                    html.Span(
                        words + "{{ sorted_by === '" + column + "' ? (sorted_down ? ' \u25be' : ' \u25b4') : '' }}"
                    )
            html.Th(_("condition"), v_if=("several_conditions",))
        with html.Tbody(), html.Tr(
            v_for="row in lesion_rows", key="row.number", click=(review.jump, "[row.number]"),
            raw_attrs=['tabindex="0" :aria-selected="row.number === lesion_number"'], __events=[("enter", "keydown.enter")],
            enter=(review.jump, "[row.number]"),
            classes=("[row.number === lesion_number ? 'chosen' : '', row.state]",), id=("`lesion-${row.number}`",),
        ):  # fmt: skip
            for cell in COLUMNS:
                html.Td("{{ row." + cell + " }}", style="white-space: nowrap")
            html.Td("{{ row.condition }}", classes="lesion-condition", v_if=("several_conditions",))
    html.Div(
        "{{ statistics }}{{ lesions_hidden ? `; ${lesions_hidden} " + _("not shown") + "` : '' }}",
        classes="text-caption mt-1", id="statistics",
    )  # fmt: skip


def _slices(review: Any) -> None:
    with html.Div(classes="d-flex align-center ga-1 mt-2"):
        html.Div("{{ slice_words }}", classes="text-body-2", style="min-width: 110px", id="slice-words")
        for words, value, key in (
            (_("normal"), "normal", "1"), (_("diseased"), "diseased", "2"), (_("unsure"), "unsure", "3"),
        ):  # fmt: skip
            v3.VBtn(
                words, size="x-small", click=(review.labels.mark, f"[slice_mark === '{value}' ? '' : '{value}', slice_words, $event.detail]"), id=f"mark-{value}", title=f"{words} ({key})",
                variant=(f"slice_mark === '{value}' ? 'flat' : 'outlined'",), disabled=("!slice_words",),
                raw_attrs=[f'aria-keyshortcuts="{key}"', f":aria-pressed=\"slice_mark === '{value}'\""],
            )  # fmt: skip


def _export(page: Any) -> None:
    html.Div(_("Export"), classes="text-caption text-grey-lighten-1 mt-2")
    with html.Div(classes="d-flex flex-wrap ga-1"):
        for kind, words in _EXPORTS:
            needs_dicom = kind in BY_WORKER
            words_if_off = f"highdicom_words || (is_dicom ? '' : '{_('for a scan opened from DICOM')}')"
            with html.Span(title=(words_if_off,) if needs_dicom else None):
                v3.VBtn(
                    words, size="x-small", variant="outlined", href=(f"`export/{kind}?secret=${{page_key}}`",), id=f"export-{kind}",
                    raw_attrs=["download"], disabled=("!is_dicom || !!highdicom_words",) if needs_dicom else False,
                )  # fmt: skip
        v3.VBtn(
            _("Save corrections"), size="x-small", variant="tonal", click=page.export.save_corrections, id="save-corrections",
            disabled=("!has_lesions",),
        )  # fmt: skip
    html.Div("{{ corrections_words }}", classes="text-caption", id="corrections-words")
