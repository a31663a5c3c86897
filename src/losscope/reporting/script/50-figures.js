// Draws the figures from the JSON beside them, in the page's colours, one after the other so that the page
// stays responsive; again when the colour scheme changes, and for print. Loads nothing.
(() => {
  "use strict";
  const root = document.documentElement;
  const plots = [...document.querySelectorAll(".plot")];
  const sources = new Map(plots.map(div => [div, JSON.parse(div.querySelector("script").textContent)]));

  const dress = value => {
    const styles = getComputedStyle(root);
    const walk = one => {
      if (typeof one === "string") return one.replace(/var\((--(?:ink|soft|rule|paper))\)/g, (_, name) => styles.getPropertyValue(name).trim());
      if (Array.isArray(one)) return one.map(walk);
      if (one && typeof one === "object") return Object.fromEntries(Object.entries(one).map(([key, inner]) => [key, walk(inner)]));
      return one;
    };
    return walk(value);
  };

  const draw = div => {
    const source = sources.get(div);
    const part = div.closest("section");
    const hidden = new Set([...part.querySelectorAll(".key [aria-pressed=false]")].map(button => button.dataset.series));
    const { data, layout } = dress({ data: source.data.filter(trace => !hidden.has(trace.legendgroup)), layout: source.layout });
    layout.height = Number(div.dataset.height);
    layout.width = div.clientWidth;
    if (div.matches(".square")) layout.width = layout.height = Math.min(layout.width, layout.height);
    const log = div.closest("figure").querySelector(".scale[aria-pressed=true]");
    if (log) {
      layout.yaxis = { ...layout.yaxis, type: "log", range: undefined, dtick: "D2", tickformat: ".3~g" };
      (layout.annotations || []).forEach(note => { note.y = Math.log10(note.y); });
    }
    const config = { displayModeBar: false, responsive: false };
    return Plotly.react(div, data, layout, config);
  };

  const queue = [...plots];
  const next = () => {
    const div = queue.shift();
    if (!div) { root.dataset.drawn = "yes"; return; }
    draw(div);
    setTimeout(next, 0);
  };
  next();

  const all = () => plots.forEach(draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", all);
  let timer, width = innerWidth;
  addEventListener("resize", () => {
    if (innerWidth === width || root.dataset.print) return;
    width = innerWidth;
    clearTimeout(timer);
    timer = setTimeout(all, 120);
  });
  addEventListener("beforeprint", () => { root.dataset.print = "yes"; queue.length = 0; all(); });
  addEventListener("afterprint", () => { delete root.dataset.print; all(); });
  document.querySelectorAll("details").forEach(one => one.addEventListener("toggle", () => one.querySelectorAll(".plot").forEach(draw)));

  document.addEventListener("click", event => {
    const button = event.target.closest(".key button, .scale, .save");
    if (!button) return;
    if (button.matches(".save")) {
      const div = button.closest("figure").querySelector(".plot");
      Plotly.downloadImage(div, { format: "svg", width: div.clientWidth, height: div._fullLayout.height, filename: "losscope-" + div.dataset.name });
      return;
    }
    button.setAttribute("aria-pressed", button.getAttribute("aria-pressed") === "true" ? "false" : "true");
    const within = button.matches(".scale") ? button.closest("figure") : button.closest("section");
    within.querySelectorAll(".plot").forEach(draw);
  });
})();
