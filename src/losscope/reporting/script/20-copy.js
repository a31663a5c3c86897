// Copies the line beside a button; where the clipboard is not allowed, as from a file, the line is selected.
(() => {
  "use strict";
  const told = (button, text) => {
    button.textContent = text;
    setTimeout(() => { button.textContent = "Copy"; }, 1600);
  };
  const selected = code => {
    const range = document.createRange();
    range.selectNodeContents(code);
    const chosen = getSelection();
    chosen.removeAllRanges();
    chosen.addRange(range);
    try { return document.execCommand("copy"); } catch { return false; }
  };
  document.addEventListener("click", async event => {
    const button = event.target.closest(".copy");
    if (!button) return;
    const code = button.parentElement.querySelector("code");
    try {
      await navigator.clipboard.writeText(code.textContent);
      told(button, "Copied");
    } catch {
      told(button, selected(code) ? "Copied" : "Selected: press Ctrl-C");
    }
  });
})();
