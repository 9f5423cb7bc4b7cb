"""The list of keys, and the switch that turns them off for those whom single letters disturb."""

from __future__ import annotations

from trame.widgets import html
from trame.widgets import vuetify3 as v3

from ClamSegWorkflow.words import tr as _

KEYS = (
    ("A", _("accept the lesion")), ("R", _("reject the lesion")), ("0", _("undecided again")),
    ("N, P", _("next, previous lesion (in the table also the arrows)")), ("E", _("edit the lesion")),
    ("L", _("add a lesion by clicks: Alt+click or M takes away")), ("+, -, Enter, Esc", _("outline wider, tighter, kept, dropped")),
    ("Q", _("the most doubtful undecided lesion, then the next")), ("B, X, Enter", _("brush, eraser, done")), ("U, Y", _("undo, redo (also Ctrl+Z, Ctrl+Y)")),
    ("1, 2, 3", _("slice normal, diseased, unsure")), ("H", _("marks off and on")), ("F", _("fit views")), ("D", _("distance")),
    ("S", _("sections off and on")),
)  # fmt: skip


def keys_menu() -> None:
    """A button in the bar."""
    with v3.VBtn(
        variant="text",
        size="small",
        prepend_icon="mdi-keyboard-outline",
        id="keys-button",
        title=_("Keys"),
        raw_attrs=[f'aria-label="{_("Keys")}"'],
    ):
        html.Span(_("Keys"), classes="bar-words")
        with (
            v3.VMenu(activator="parent", close_on_content_click=False, offset=6),
            v3.VCard(classes="pa-3", id="keys", style="min-width: 330px"),
        ):
            with html.Div(
                v_for="(line, k) in " + repr([list(each) for each in KEYS]), key="k", classes="d-flex text-body-2"
            ):
                html.Span("{{ line[0] }}", classes="font-weight-bold", style="min-width: 100px")
                html.Span("{{ line[1] }}")
            v3.VSwitch(
                v_model=("keys_on",), label=_("Letters and digits act"), density="compact", hide_details=True, id="keys-on",
                color="primary",
            )  # fmt: skip
