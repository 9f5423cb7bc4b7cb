// A double click on a view shows it alone, and all again; not while the clicks draw or measure.
(() => {
  const drawing = ["tool", "measuring", "clicking"];
  document.addEventListener("dblclick", (event) => {
    const state = window.trame && window.trame.state;
    if (!state || drawing.some((name) => state.get(name))) return;
    if (event.target instanceof Element && event.target.closest("button, .v-slider, .v-overlay-container, #sections, header")) return;
    for (const view of document.querySelectorAll("[id^=view-]")) {
      const { left, right, top, bottom } = view.getBoundingClientRect();
      if (event.clientX < left || event.clientX > right || event.clientY < top || event.clientY > bottom) continue;
      const button = document.getElementById(`enlarge-${view.id.slice(5)}`);
      if (button) button.click();
      return;
    }
  });
})();
