// A section that is opened comes into sight: without this it opens below the decisions, where nothing is seen to happen.
(() => {
  let pressed = false, waiting = null;
  const bring = (title) => {
    const panel = title.closest(".v-expansion-panel");
    const foot = document.getElementById("decisions");
    const floor = foot && foot.offsetParent ? foot.getBoundingClientRect().top : window.innerHeight;
    if (!panel || !panel.classList.contains("v-expansion-panel--active") || panel.getBoundingClientRect().bottom <= floor) return;
    title.scrollIntoView({ block: "start" });
  };
  // What moves under a pressed button is not clicked: the browser sees it let go over something else.
  document.addEventListener("pointerdown", () => { pressed = true; }, { capture: true, passive: true });
  for (const end of ["pointerup", "pointercancel"])
    document.addEventListener(end, () => {
      pressed = false;
      const title = waiting;
      waiting = null;
      if (title) setTimeout(bring, 0, title); // after the click
    }, { capture: true, passive: true });
  document.addEventListener("click", (event) => {
    const title = event.target instanceof Element && event.target.closest("#sections .v-expansion-panel-title");
    if (!title) return;
    setTimeout(() => { if (pressed) waiting = title; else bring(title); }, 400); // when it has its height
  }, { passive: true });
})();
