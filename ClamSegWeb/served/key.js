// Runs before anything else: keeps the key of the address for a reload of this tab, and brings it back after one.
(() => {
  const address = new URL(window.location.href);
  const given = address.searchParams.get("secret");
  const kept = sessionStorage.getItem("clamseg-key");
  if (given) {
    sessionStorage.setItem("clamseg-key", given);
  } else if (kept) {
    sessionStorage.removeItem("clamseg-key"); // an old key must not send the tab in circles
    address.searchParams.set("secret", kept);
    window.location.replace(address);
  }
})();
