// Figures are drawn without it: this hides losses and switches to a logarithmic axis.
(() => {
  "use strict";
  document.addEventListener("click", event => {
    const button = event.target.closest(".scale");
    if (!button) return;
    const on = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", on);
    button.closest("figure").querySelector(".plot").classList.toggle("logarithmic", on);
  });
})();
