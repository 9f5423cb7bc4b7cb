// One key a decision: a key clicks the button that names it in aria-keyshortcuts. Not while the reader types, chooses in a list
// or moves a slider, not with a question open, and not where the keys are switched off.
(() => {
  const busy = (element) => element instanceof Element && element.closest(
    "input:not([type=checkbox]):not([type=file]), textarea, select, [contenteditable=true], [role=slider], [role=combobox], [role=listbox], .v-overlay-container");
  const named = (event) => {
    if (event.ctrlKey || event.metaKey) {
      const key = event.key.toLowerCase();
      if (key === "z") return event.shiftKey ? "Y" : "U";
      return key === "y" ? "Y" : "";
    }
    if (event.altKey) return "";
    if (event.target instanceof Element && event.target.closest("#lesions")) {
      if (event.key === "ArrowDown") return "N";
      if (event.key === "ArrowUp") return "P";
    }
    return event.key.length === 1 ? event.key.toUpperCase() : event.key;
  };
  // What a held key may do again and again; a decision is taken on what was seen, once a press.
  const repeated = ["N", "P", "+", "-"];
  document.addEventListener("keydown", (event) => {
    const state = window.trame && window.trame.state;
    if (!state || event.defaultPrevented || busy(event.target) || state.get("question")) return;
    const key = named(event);
    // Enter is a button's own, and that of a line of the table, except that it ends what is drawn.
    const own = state.get("tool") || state.get("clicking") ? "button, a, [role=button]" : "button, a, tr, [role=button]";
    if ((key === "Enter" || key === " ") && event.target instanceof Element && event.target.closest(own)) {
      if (event.repeat) {  // the browser would click again and again
        event.preventDefault();
        event.stopPropagation();
      }
      return;
    }
    if (!key || key === "\"" || (!state.get("keys_on") && event.key.length === 1 && !event.ctrlKey && !event.metaKey)) return;
    const button = [...document.querySelectorAll(`[aria-keyshortcuts="${CSS.escape(key)}"]`)].find((each) => !each.disabled && each.offsetParent);
    if (!button) return;
    event.preventDefault();
    event.stopPropagation();
    if (!event.repeat || repeated.includes(key)) button.click();
  }, true);
  // The line that was chosen stays in sight when keys go through the table, and so does the scan that is shown.
  let shown = null;
  new MutationObserver(() => {
    const scan = document.querySelector("#scans [aria-current=true]");
    const look = scan && `${scan.title} ${scan.offsetWidth}`;  // a tick before its name makes it wider
    if (look !== shown) {
      shown = look;
      if (scan) scan.scrollIntoView({ block: "nearest", inline: "nearest" });
    }
    const line = document.querySelector("#lesions tr.chosen");
    const table = line && line.closest(".v-table__wrapper");
    if (!table) return;
    const [inner, outer] = [line.getBoundingClientRect(), table.getBoundingClientRect()];
    if (inner.top < outer.top + 28 || inner.bottom > outer.bottom) line.scrollIntoView({ block: "nearest" });
  }).observe(document.documentElement, { subtree: true, childList: true, attributes: true, attributeFilter: ["class", "aria-current"] });
})();
