// Colours of the system, or light, or dark: the button goes through the three and remembers.
(() => {
  "use strict";
  const root = document.documentElement, button = document.querySelector(".theme");
  if (!button) return;
  const says = { system: ["◐", "those of the system"], light: ["☀", "light"], dark: ["☾", "dark"] };
  const kept = () => { try { return localStorage.getItem("losscope-colours"); } catch { return null; } };
  const set = name => {
    if (name === "system") delete root.dataset.theme; else root.dataset.theme = name;
    button.textContent = says[name][0];
    button.setAttribute("aria-label", "Colours: " + says[name][1]);
    button.title = "Colours: " + says[name][1];
    try { localStorage.setItem("losscope-colours", name); } catch { /* a file may keep nothing */ }
  };
  button.hidden = false;
  set(says[kept()] ? kept() : "system");
  button.addEventListener("click", () => {
    const order = Object.keys(says);
    set(order[(order.indexOf(root.dataset.theme || "system") + 1) % order.length]);
  });
})();
