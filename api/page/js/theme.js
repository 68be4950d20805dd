/** The theme chosen on this device, set before anything is painted: loaded as a plain script. */
(() => {
  try {
    const chosen = localStorage.getItem("scribebox.theme");
    if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
  } catch {
    // no storage: the system's theme
  }
})();
