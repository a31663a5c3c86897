// Figures are whole without it. It hides losses everywhere, shows the numbers under the pointer, follows one epoch
// through all curves, switches to logarithmic axes and saves a figure. Texts are set as text, never as markup.
const figures = (() => {
  "use strict";
  const SVG = "http://www.w3.org/2000/svg";
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const make = (name, values = {}) => {
    const made = document.createElementNS(SVG, name);
    Object.entries(values).forEach(([key, value]) => made.setAttribute(key, value));
    return made;
  };

  // --- a loss that is hidden is hidden everywhere ---
  const hidden = new Set();
  const rules = document.head.appendChild(document.createElement("style"));
  const hide = (series, off) => {
    off ? hidden.add(series) : hidden.delete(series);
    rules.textContent = [...hidden].map(one => `main [data-series~="${one}"]:not(button) { display: none !important; }`).join("\n");
    all(`.key button[data-series="${series}"]`).forEach(button => button.setAttribute("aria-pressed", !off));
  };
  const shown = element => {
    const group = element.closest("[data-series]");
    return !group || !group.dataset.series.split(" ").some(one => hidden.has(one));
  };

  // --- the points of a mark: places in its figure, values along the axis, texts ---
  const known = new WeakMap();
  const points = mark => {
    if (!known.has(mark)) {
      const kept = mark.dataset.text.split("\n");
      const texts = mark.dataset.which ? [...mark.dataset.which].map(digit => kept[parseInt(digit, 36)]) : kept;
      const at = mark.dataset.x ? mark.dataset.x.split(" ").map(Number) : texts.map((_, place) => place + 1);
      const places = mark.classList.contains("line")
        ? mark.getAttribute("d").split(/[ML]/).slice(1)
        : mark.getAttribute("d").split("M").slice(1).map(one => one.split("h")[0]);
      known.set(mark, places.map((place, index) => {
        const [x, y] = place.trim().split(" ").map(Number);
        return { x: x / 1000, y, at: at[index], text: texts[index], mark };
      }));
    }
    return known.get(mark);
  };
  const seen = plot => all("[data-x]", plot).filter(mark => shown(mark) && mark.getClientRects().length).flatMap(points);

  // --- the box ---
  const box = document.createElement("div");
  box.className = "hover";
  box.setAttribute("aria-hidden", "true");
  document.body.append(box);
  const write = (head, rows) => {
    box.replaceChildren();
    if (head) box.append(Object.assign(document.createElement("b"), { textContent: head }));
    rows.forEach(({ name, text, colour }) => {
      const row = box.appendChild(document.createElement("p"));
      const swatch = row.appendChild(document.createElement("i"));
      if (colour) swatch.style.background = colour;
      row.append(Object.assign(document.createElement("span"), { textContent: name }));
      row.append(Object.assign(document.createElement("span"), { textContent: text }));
    });
    box.classList.add("on");
  };
  const place = (x, y, below) => {
    const { width, height } = box.getBoundingClientRect();
    const left = Math.max(4, Math.min(innerWidth - width - 4, x - (below === undefined ? -14 : width / 2)));
    let top = below === undefined ? y + 14 : below;
    if (top + height > innerHeight - 4) top = below === undefined ? y - height - 14 : y - height - 6;
    box.style.transform = `translate(${Math.round(left)}px, ${Math.round(Math.max(4, top))}px)`;
  };
  const colourOf = mark => { const group = mark.closest("g[style]"); return group ? group.style.color : ""; };

  // --- the cursor through all figures of one quantity ---
  const share = (axes, value) => {
    const [low, high] = [Number(axes.dataset.low), Number(axes.dataset.high)];
    return axes.dataset.scale === "log" ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low);
  };
  const cursor = (name, value, kind = "cursor", plot = null) => (plot ? all(".axes", plot) : all(`.plot[data-cursor="${name}"]:not([data-alone]) > .axes`)).forEach(axes => {
    const at = share(axes, value);
    const own = axes.querySelector(`.${kind}`) || axes.appendChild(make("line", { class: kind, y1: 0, y2: axes.getAttribute("height") }));
    own.style.display = at < 0 || at > 1 ? "none" : "";
    ["x1", "x2"].forEach(key => own.setAttribute(key, `${100 * at}%`));
  });
  // What is shown by a key is said as well, and stays where the page moves under it.
  const aside = values => (document.querySelector("main") || document.body).appendChild(Object.assign(document.createElement("p"), { className: "unseen", ...values }));
  aside({ id: "figure-keys", textContent: "The arrow keys go from value to value." });
  const said = aside({ role: "status" });
  let held = null;
  const hold = show => {
    show();
    held = show;
    const parts = row => row.children.length ? [...row.children].map(part => part.textContent).filter(Boolean).join(" ") : row.textContent;
    said.textContent = [...box.children].map(parts).join("; ");
  };
  const clear = () => {
    held = null;
    box.classList.remove("on");
    all(".cursor, .near").forEach(one => one.remove());
  };

  const across = (plot, axes, left, pressed) => {
    const found = seen(plot);
    if (!found.length) return clear();
    at(plot, axes, found, found.reduce((best, point) => Math.abs(point.x - left) < Math.abs(best.x - left) ? point : best), pressed);
  };
  // All values at one place of an axis that figures share; a press goes to that epoch everywhere.
  const at = (plot, axes, found, nearest, pressed) => {
    const rows = found.filter(point => point.at === nearest.at).sort((a, b) => a.y - b.y);
    const alone = "alone" in plot.dataset;
    if (alone) all(".cursor").forEach(line => line.remove());
    cursor(plot.dataset.cursor, nearest.at, "cursor", alone ? plot : null);
    if (pressed && !alone) document.dispatchEvent(new CustomEvent(`losscope-${plot.dataset.cursor}`, { detail: nearest.at }));
    write(`${plot.dataset.cursor} ${nearest.at}`, rows.map(({ mark, text }) => ({ name: mark.dataset.name, text, colour: colourOf(mark) })));
    const frame = axes.getBoundingClientRect();
    place(frame.left + nearest.x * frame.width, frame.top, plot.getBoundingClientRect().bottom + 2);
  };
  const close = (plot, axes, x, y) => {
    const frame = axes.getBoundingClientRect();
    const far = point => Math.hypot(frame.left + point.x * frame.width - x, frame.top + point.y - y);
    const found = seen(plot).map(point => [far(point), point]).sort((a, b) => a[0] - b[0]);
    if (!found.length || found[0][0] > 28) return clear();
    on(axes, found.map(([, point]) => point), found[0][1]);
  };
  // One point, and what lies at the same place.
  const on = (axes, found, point) => {
    all(".near").forEach(one => one.remove());
    const ring = axes.appendChild(make("svg", { class: "near", x: `${100 * point.x}%`, y: point.y, overflow: "visible" }));
    ring.append(make("circle", { r: 6 }));
    const same = found.filter(other => other.x === point.x && other.y === point.y).slice(0, 4);
    const frame = axes.getBoundingClientRect();
    write("", same.map(({ mark, text }) => ({ name: mark.dataset.name, text, colour: colourOf(mark) })));
    place(frame.left + point.x * frame.width, frame.top + point.y);
  };

  const look = event => {
    const plot = event.target.closest && event.target.closest(".plot:not(.square)");
    if (!plot) { if (!event.target.closest || !event.target.closest(".square")) clear(); return; }
    const axes = plot.querySelector(".axes");
    const frame = axes.getBoundingClientRect();
    if (plot.dataset.cursor) across(plot, axes, (event.clientX - frame.left) / frame.width, event.type === "pointerdown");
    else close(plot, axes, event.clientX, event.clientY);
  };
  let waiting;
  const soon = event => { cancelAnimationFrame(waiting); waiting = requestAnimationFrame(() => look(event)); };
  document.addEventListener("pointermove", soon);
  document.addEventListener("pointerdown", soon);
  document.addEventListener("scroll", () => held ? held() : clear(), { passive: true });
  document.addEventListener("keydown", event => { if (event.key === "Escape") clear(); });

  // --- a figure as a file of its own ---
  const KEPT = ["color", "fill", "fill-opacity", "stroke", "stroke-width", "stroke-opacity", "stroke-dasharray", "stroke-linecap",
    "stroke-linejoin", "vector-effect", "font-family", "font-size", "font-weight", "text-anchor", "paint-order", "overflow"];
  const dressed = (source, target) => {
    const style = getComputedStyle(source);
    if (style.display === "none" || !shown(source) || source.matches(".cursor, .pinned, .near, .lit")) { target.remove(); return; }
    [...source.children].map((child, index) => [child, target.children[index]]).forEach(([child, copy]) => dressed(child, copy));
    target.removeAttribute("class");
    [...target.attributes].filter(({ name }) => name.startsWith("data-")).forEach(({ name }) => target.removeAttribute(name));
    target.setAttribute("style", KEPT.map(name => `${name}:${style.getPropertyValue(name)}`).join(";"));
  };
  const standalone = figure => {
    const [plot, axes] = [figure.querySelector(".plot"), figure.querySelector(".axes")];
    const [outer, inner] = [plot.getBoundingClientRect(), axes.getBoundingClientRect()];
    const styles = getComputedStyle(figure.querySelector("figcaption"));
    const paper = getComputedStyle(document.body).backgroundColor;
    const [width, height] = [Math.ceil(outer.width) + 16, Math.ceil(outer.height) + 56];
    const whole = make("svg", { xmlns: SVG, width, height, viewBox: `0 0 ${width} ${height}` });
    whole.append(make("rect", { width, height, fill: paper }));
    const words = (x, y, text, weight) => {
      const one = make("text", { x, y, fill: styles.color, style: `font:${weight} 13px ${styles.fontFamily}` });
      one.textContent = text;
      whole.append(one);
      return one;
    };
    words(8, 18, figure.querySelector("figcaption > span").textContent.trim().replace(/\s+/g, " "), 600);
    const losses = new Map(all("g[data-series] [data-name]", axes).filter(shown).map(mark => [mark.dataset.name, colourOf(mark)]));
    let x = 8;
    if (losses.size > 1) losses.forEach((colour, name) => {
      const probe = document.createElement("i");
      probe.style.color = colour;
      document.body.append(probe);
      whole.append(make("circle", { cx: x + 5, cy: 32, r: 4, fill: getComputedStyle(probe).color }));
      probe.remove();
      words(x + 13, 36, name, 400);
      x += 28 + 7.2 * name.length;
    });
    const copy = axes.cloneNode(true);
    dressed(axes, copy);
    copy.style.removeProperty("margin");
    copy.setAttribute("x", inner.left - outer.left + 8);
    copy.setAttribute("y", inner.top - outer.top + 44);
    copy.setAttribute("width", inner.width);
    copy.setAttribute("height", inner.height);
    whole.append(copy);
    return new XMLSerializer().serializeToString(whole);
  };
  const save = figure => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([standalone(figure)], { type: "image/svg+xml" }));
    link.download = `losscope-${figure.querySelector(".plot").dataset.name}.svg`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  };

  document.addEventListener("click", event => {
    const button = event.target.closest("button");
    if (!button) return;
    if (button.matches(".key [data-series]")) hide(button.dataset.series, button.getAttribute("aria-pressed") === "true");
    if (button.matches(".save")) save(button.closest("figure"));
    if (button.matches(".scale")) {
      const on = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", on);
      button.closest("figure").querySelector(".plot").classList.toggle("logarithmic", on);
    }
  });

  // --- print: what is folded is opened ---
  let opened = [];
  addEventListener("beforeprint", () => {
    clear();
    opened = all("details:not([open])");
    opened.forEach(one => { one.open = true; });
  });
  addEventListener("afterprint", () => opened.forEach(one => { one.open = false; }));

  return { all, make, write, place, clear, cursor, seen, at, on, hold };
})();
