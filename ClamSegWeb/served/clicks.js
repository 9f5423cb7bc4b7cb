// A press in a view takes the keys away from the button that was clicked before it: Enter keeps the outline and does not click
// that button again.
document.addEventListener("pointerdown", (event) => {
  const inViews = event.target instanceof Element && event.target.closest("#views");
  if (inViews && document.activeElement instanceof HTMLElement && !inViews.contains(document.activeElement)) document.activeElement.blur();
}, { capture: true, passive: true });
