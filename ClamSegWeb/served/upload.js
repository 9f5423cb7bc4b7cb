// Sends the files that a reader chose to ClamSeg on the same computer, one after the other, then asks it to open them.
(() => {
  const key = sessionStorage.getItem("clamseg-key") || "";
  const send = async (files) => {
    if (!files.length) return;
    const batch = Array.from(crypto.getRandomValues(new Uint8Array(12)), (n) => (n % 36).toString(36)).join("");
    for (const file of files) {
      const name = encodeURIComponent(file.name);
      const answer = await fetch(`upload/${batch}?name=${name}`, {
        method: "POST", headers: { "X-ClamSeg-Key": key }, body: file,
      });
      if (!answer.ok) {
        // Too much and no room are told by ClamSeg itself.
        if (![413, 507].includes(answer.status)) window.trame.state.set("upload_failed", `${file.name} (${answer.status})`);
        return;
      }
    }
    // A folder's name is what people know a series by; its slices are called 0001 or worse.
    const folder = encodeURIComponent((files[0].webkitRelativePath || "").split("/")[0]);
    await fetch(`upload/${batch}/open?folder=${folder}`, { method: "POST", headers: { "X-ClamSeg-Key": key } });
  };
  document.addEventListener("change", async (event) => {
    const input = event.target;
    if (!(input instanceof HTMLInputElement) || !input.classList.contains("clamseg-upload")) return;
    const files = Array.from(input.files || []);
    input.disabled = true;
    try {
      await send(files);
    } finally {
      input.value = "";
      input.disabled = false;
    }
  });
})();
