// The edge of the sections is dragged, or moved by the arrow keys, to make them wider or narrower.
(() => {
  const [narrowest, widest] = [320, 640];
  const set = (width) => {
    const state = window.trame && window.trame.state;
    const room = Math.max(narrowest, Math.min(widest, window.innerWidth / 2));
    if (!state || !Number.isFinite(width)) return;
    const value = Math.round(Math.min(room, Math.max(narrowest, width)));
    state.set("sections_width", value);
  };
  let from = null;
  document.addEventListener("pointerdown", (event) => {
    if (!(event.target instanceof Element) || event.target.id !== "sections-edge") return;
    from = true;
    event.target.setPointerCapture(event.pointerId);
    event.preventDefault();
  });
  document.addEventListener("pointermove", (event) => { if (from) set(event.clientX); });
  document.addEventListener("pointerup", (event) => { if (from) { from = null; set(event.clientX); } });
  document.addEventListener("keydown", (event) => {
    if (!(event.target instanceof Element) || event.target.id !== "sections-edge") return;
    const step = { ArrowLeft: -20, ArrowRight: 20 }[event.key];
    if (!step) return;
    event.preventDefault();
    set(Number(window.trame.state.get("sections_width")) + step);
  });
})();
