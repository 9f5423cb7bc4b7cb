// All windows show the same views, drawn at one size. Where that is another window's, a part of the picture is cut off and
// the mouse points elsewhere: the window that the reader turns to asks for its own.
(() => {
  let asked = 0;
  const fits = (view) => {
    const picture = view.parentElement.querySelector("img");
    if (!picture || !picture.naturalWidth) return true;
    const [wide, high] = [view.clientWidth, view.clientHeight].map((side) => side * devicePixelRatio);
    return Math.abs(picture.naturalWidth - wide) < 2 && Math.abs(picture.naturalHeight - high) < 2;
  };
  const ask = () => {
    const views = document.getElementById("views");
    if (!views || Date.now() - asked < 1000 || [...document.querySelectorAll("[id^=view-]")].every(fits)) return;
    asked = Date.now();
    // The views tell their size when it changes.
    views.style.paddingRight = "1px";
    setTimeout(() => { views.style.paddingRight = ""; }, 50);
  };
  // A screen reader is told which view a picture is of.
  const names = { Red: "Axial view", Green: "Coronal view", Yellow: "Sagittal view", ThreeD: "3-D view" };
  const name = () => {
    for (const view of document.querySelectorAll("[id^=view-]")) {
      const picture = view.parentElement.querySelector("img:not([alt])");
      if (picture) picture.alt = names[view.id.slice(5)] || "View";
    }
  };
  new MutationObserver(name).observe(document.documentElement, { childList: true, subtree: true });
  for (const kind of ["pointermove", "pointerdown", "wheel", "focus"]) {
    window.addEventListener(kind, ask, { capture: true, passive: true });
  }
})();
