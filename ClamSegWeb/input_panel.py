"""How Input looks."""

from __future__ import annotations

from typing import Any

from trame.widgets import html
from trame.widgets import vuetify3 as v3

from ClamSegWorkflow.words import tr as _


def kept_reviews(page: Any) -> None:
    """Reviews that an earlier page could not end; they wait until they are taken up or given up."""
    with v3.VCard(
        v_for="kept in kept_reviews", key="kept.id", variant="tonal", color="blue-lighten-3", classes="mx-2 my-2 pa-2 kept-review",
    ):  # fmt: skip
        html.Div(_("A review of an earlier page is kept:"), classes="text-caption")
        html.Div("{{ kept.words }}", classes="text-body-2")
        with html.Div(classes="d-flex ga-2 mt-1"):
            for words, act, name in (
                (_("Go on with it"), page.kept.bring, "bring"),
                (_("Discard"), page.kept.discard, "discard"),
            ):
                v3.VBtn(
                    words, size="x-small", variant="flat" if name == "bring" else "outlined", color="primary" if name == "bring" else None, click=(act, "[kept.id]"), classes=f"kept-{name}",
                )  # fmt: skip


def open_scans(section: Any) -> None:
    """The open scans in one line over the sections, which is rolled sideways where they are many."""
    with html.Div(
        v_if=("scans.length",), classes="d-flex ga-1 px-3 py-1", id="scans", style="overflow-x: auto; scrollbar-width: thin",
        raw_attrs=[f'role="group" tabindex="0" aria-label="{_("Open scans")}"'],
    ):  # fmt: skip
        v3.VChip(
            "{{ scan.segmented ? '\u2713 ' : '' }}{{ scan.title || scan.name }}", v_for="(scan, index) in scans", key="scan.id", size="small",
            closable=True, color=("index === scan_index ? 'primary' : ''",), click=(section.show, "[scan.id]"),
            click_close=(section.close, "[scan.id]"), style="flex: none",
            # A chip hides itself on its x; whether the scan goes is for the reader's answer to say.
            model_value=("true",), update_modelValue="void 0",
            raw_attrs=[f':close-label="`{_("Close")} ${{scan.title || scan.name}}`" :title="scan.name" :aria-current="index === scan_index"'],
        )  # fmt: skip


def input_panel(page: Any) -> None:
    """Samples, the folder list and uploads."""
    section = page.input
    html.Div(_("Samples"), classes="text-caption text-grey-lighten-1")
    with html.Div(classes="d-flex flex-wrap ga-1 mb-1"):
        v3.VBtn(
            "{{ sample.title }}", v_for="sample in samples", key="sample.name", size="small", variant="tonal", click=(section.open_sample, "[sample.name]"),
            id=("`sample-${sample.name}`",), disabled=("run_state === 'running' || !!opening",),
            raw_attrs=[':title="sample.about"'],  # goes with the mouse, also where the click switched the button off
        )  # fmt: skip
    with html.Div(v_if=("series_choices.length",), classes="my-1", id="series"):
        html.Div(_("Series of this folder"), classes="text-caption text-grey-lighten-1")
        v3.VBtn(
            "{{ series.words }}", v_for="series in series_choices", key="series.uid", size="x-small", block=True, classes="mb-1 justify-start series-choice",
            variant=("series.chosen ? 'flat' : 'outlined'",), color=("series.chosen ? 'primary' : ''",), click=(section.open_series, "[series.uid]"),
            disabled=("run_state === 'running' || !!opening",), raw_attrs=[':aria-pressed="series.chosen"'],
        )  # fmt: skip
    html.Div(
        "{{ warning }}", v_for="(warning, k) in scan_warnings", key="k", classes="text-caption text-amber-lighten-2"
    )
    with html.Div(v_if=("opening",), classes="text-body-2 my-1", id="opening"):
        v3.VProgressCircular(indeterminate=True, size=14, width=2, classes="mr-2")
        html.Span(_("Opening") + " {{ opening }}")
    with (
        v3.VExpansionPanels(v_model=("open_files", None), variant="accordion", classes="mt-1"),
        v3.VExpansionPanel(value="own"),
    ):
        v3.VExpansionPanelTitle(_("Own files"), classes="py-1 text-body-2", id="own-files")
        with v3.VExpansionPanelText(eager=True):
            _own_files(section)


def _own_files(section: Any) -> None:
    html.Div(_("From this computer: NIfTI, NRRD, MetaImage, DICOM, PNG, JPEG or TIFF"), classes="text-caption")
    html.Input(
        type="file", multiple=True, classes="clamseg-upload text-caption mb-1", id="upload-files",
        raw_attrs=[f'aria-label="{_("Files from this computer")}"'],
    )  # fmt: skip
    html.Div(_("A folder with a DICOM series"), classes="text-caption")
    html.Input(
        type="file", classes="clamseg-upload text-caption mb-2", id="upload-folder",
        raw_attrs=["webkitdirectory", f'aria-label="{_("A folder from this computer")}"'],
    )  # fmt: skip
    with html.Div(v_if=("has_roots",)):
        with html.Div(classes="d-flex align-center"):
            with v3.VBtn(
                icon=True, size="x-small", variant="text", click=section.list_parent, disabled=("!folder_has_parent",),
                id="folder-up", raw_attrs=[f'aria-label="{_("Up")}"'],
            ):  # fmt: skip
                v3.VIcon("mdi-arrow-up")
            with v3.VBtn(
                icon=True, size="x-small", variant="text", click=section.list_again, id="folder-again",
                raw_attrs=[f'aria-label="{_("List again")}"'],
            ):  # fmt: skip
                v3.VIcon("mdi-refresh")
            html.Span("{{ folder_words }}", classes="text-body-2")
            v3.VSpacer()
            v3.VBtn(
                _("Open as series"), size="x-small", variant="text", click=section.open_listed_folder, id="open-series"
            )
        with html.Div(style="max-height: 180px; overflow: auto; border: 1px solid #444", id="folder-list"):
            with html.Div(
                v_for="(entry, index) in folder_entries", key="index", click=(section.open_entry, "[index, entry.name, $event.detail]"),
                raw_attrs=['tabindex="0" role="button"'], enter=(section.open_entry, "[index, entry.name]"),
                __events=[("enter", "keydown.enter"), ("space", "keydown.space.prevent")], space=(section.open_entry, "[index, entry.name]"),
                classes="px-2 text-body-2 folder-entry", style="cursor: pointer; white-space: nowrap",
            ):  # fmt: skip
                v3.VIcon(
                    icon=("entry.folder ? 'mdi-folder-outline' : 'mdi-file-image-outline'",),
                    size="x-small",
                    classes="mr-1",
                )
                html.Span("{{ entry.name }}")
        html.Div("{{ folder_rest }}", v_if=("folder_rest",), classes="text-caption", id="folder-rest")
    html.Div(
        _("To list folders of this computer, start the page with --root FOLDER."), v_if=("!has_roots",),
        classes="text-caption text-grey-lighten-1",
    )  # fmt: skip
