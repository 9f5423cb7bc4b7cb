// A click in a slice view that moves nothing brings the other views to the point under the mouse; not while clicks draw,
// measure or outline, and not a second one, which enlarges.
(() => {
  const otherwise = ["tool", "measuring", "clicking"];
  let pressed = null;
  const sliceAt = (event) => {
    if (event.target instanceof Element && event.target.closest("button, .v-slider, .v-overlay-container, #sections, header")) return null;
    return ["Red", "Green", "Yellow"].find((name) => {
      const view = document.getElementById(`view-${name}`);
      const box = view && view.getBoundingClientRect();
      return box && event.clientX > box.left && event.clientX < box.right && event.clientY > box.top && event.clientY < box.bottom;
    });
  };
  document.addEventListener("pointerdown", (event) => {
    pressed = event.button === 0 && !event.shiftKey && !event.ctrlKey && sliceAt(event) ? [event.clientX, event.clientY] : null;
  }, { capture: true, passive: true });
  document.addEventListener("pointerup", (event) => {
    const state = window.trame && window.trame.state;
    if (!pressed || !state || otherwise.some((name) => state.get(name)) || event.detail > 1) return;
    const moved = Math.hypot(event.clientX - pressed[0], event.clientY - pressed[1]);
    pressed = null;
    // After the mouse's own way to the server, so that the point is the one under it.
    if (moved < 3) setTimeout(() => { if (!otherwise.some((name) => state.get(name))) window.trame.trigger("cross_here"); }, 60);
  }, { capture: true, passive: true });
})();
