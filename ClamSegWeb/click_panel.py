"""How adding by clicks looks: its button, the card with the proposal, the border's menu; keys as in `keys.js`."""

from __future__ import annotations

from typing import Any

from trame.widgets import html
from trame.widgets import vuetify3 as v3

from ClamSegWorkflow.case import border
from ClamSegWorkflow.words import tr as _

_BORDERS = (
    (border.WIDER, _("Wider")), (border.TIGHTER, _("Tighter")), (border.CUT, _("Cut off what hangs on a thin bridge")),
    (border.SPLIT, _("Split in two")),
)  # fmt: skip


def click_buttons(tool: Any) -> None:
    """Add lesion, the border of the chosen one, the most doubtful one."""
    with html.Div(classes="d-flex flex-wrap ga-1 mt-1"):
        v3.VBtn(
            _("Add lesion"), size="small", click=tool.toggle, id="click-button", prepend_icon="mdi-crosshairs",
            variant=("clicking ? 'flat' : 'tonal'",), color="blue-lighten-3", title=_("Click on a missed lesion: it is outlined") + " (L)",
            raw_attrs=['aria-keyshortcuts="L"', ':aria-pressed="clicking"'],
        )  # fmt: skip
        with v3.VBtn(_("Border"), size="small", variant="tonal", id="border-button", disabled=("!lesion_number",)):
            with v3.VMenu(activator="parent"), v3.VList(density="compact", id="borders"):
                for how, words in _BORDERS:
                    v3.VListItem(title=words, click=(tool.refine, f"['{how}', lesion_number]"), id=f"border-{how}")
                v3.VListItem(
                    title=_("Merge with the nearest lesion"), click=(tool.merge, "[lesion_number]"), id="border-merge"
                )
        v3.VBtn(
            _("Most doubtful"), size="small", variant="tonal", click=tool.go_to_most_doubtful, id="doubt-button",
            title=_("The most doubtful undecided lesion, then the next") + " (Q)", raw_attrs=['aria-keyshortcuts="Q"'],
        )  # fmt: skip


def click_card(tool: Any) -> None:
    """What is proposed, and what can be done with it."""
    with v3.VCard(v_if=("clicking",), variant="tonal", classes="mb-2 pa-2", color="amber-lighten-3", id="clicking"):
        html.Div("{{ click_words }}", classes="text-body-2 mb-1", id="click-words", raw_attrs=['aria-live="polite"'])
        v3.VSelect(
            v_if=("several_conditions",), v_model=("click_condition",), density="compact", hide_details=True, variant="outlined",
            items=("[{title: '" + _("most probable") + "', value: ''}, ...conditions.map(c => ({title: condition_names[c], value: c}))]",),
            label=_("Condition"), id="click-condition", classes="mb-1",
        )  # fmt: skip
        with html.Div(classes="d-flex align-center ga-1"):
            v3.VBtn(
                _("Take away"), size="small", click="click_takes_away = !click_takes_away", id="click-minus", disabled=("!has_clicks",),
                variant=("click_takes_away ? 'flat' : 'outlined'",), title=_("The next clicks take away (Alt+click does too)") + " (M)",
                raw_attrs=['aria-keyshortcuts="M"', ':aria-pressed="click_takes_away"'],
            )  # fmt: skip
            for words, by, key, name in ((_("Tighter"), -1, "-", "click-tighter"), (_("Wider"), 1, "+", "click-wider")):
                v3.VBtn(
                    words, size="small", variant="outlined", click=(tool.change_width, f"[{by}]"), id=name, disabled=("!has_clicks",),
                    title=f"{words} ({key})", raw_attrs=[f'aria-keyshortcuts="{key}"'],
                )  # fmt: skip
        with html.Div(classes="d-flex align-center ga-1 mt-1"):
            v3.VBtn(
                _("Keep"), size="small", color="primary", click=tool.keep, id="click-keep", disabled=("!has_proposal",),
                title=_("Keep") + " (Enter)", raw_attrs=['aria-keyshortcuts="Enter"'],
            )  # fmt: skip
            v3.VBtn(
                _("Drop"), size="small", variant="outlined", click=tool.drop, id="click-drop", title=_("Drop") + " (Esc)",
                raw_attrs=['aria-keyshortcuts="Escape"'],
            )  # fmt: skip
            v3.VBtn(
                _("Last click back"),
                size="small",
                variant="text",
                click=tool.take_back,
                id="click-back",
                disabled=("!has_clicks",),
            )
