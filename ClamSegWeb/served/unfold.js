// A section that is opened comes into sight: without this it opens below the decisions, where nothing is seen to happen.
document.addEventListener("click", (event) => {
  const title = event.target instanceof Element && event.target.closest("#sections .v-expansion-panel-title");
  if (!title) return;
  setTimeout(() => {
    const panel = title.closest(".v-expansion-panel");
    const foot = document.getElementById("decisions");
    const floor = foot && foot.offsetParent ? foot.getBoundingClientRect().top : window.innerHeight;
    if (!panel || !panel.classList.contains("v-expansion-panel--active") || panel.getBoundingClientRect().bottom <= floor) return;
    title.scrollIntoView({ block: "start" });
  }, 400); // when it has its height
}, { passive: true });
