// The keyboard reads every figure with axes: it is one stop, and the arrows go from value to value.
(() => {
  "use strict";
  const { all, seen, at, on, clear, hold } = figures;
  const STEPS = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 };
  // A figure's stops, and what shows one of them: a place of the axis that figures share, else a point.
  const read = plot => {
    const axes = plot.querySelector(".axes");
    const found = seen(plot);
    if (plot.dataset.cursor) {
      const places = [...new Map(found.map(point => [point.at, point])).values()].sort((a, b) => a.x - b.x);
      return [places, point => at(plot, axes, found, point)];
    }
    const places = new Map(found.map(point => [`${point.x} ${point.y}`, point]));
    return [[...places.values()].sort((a, b) => a.x - b.x || a.y - b.y), point => on(axes, found, point)];
  };
  all(".plot:not(.square)").filter(plot => plot.querySelector("[data-x]")).forEach(plot => {
    let place = -1;
    plot.tabIndex = 0;
    plot.setAttribute("aria-describedby", "figure-keys");
    plot.addEventListener("keydown", event => {
      const step = STEPS[event.key];
      if (!step && event.key !== "Home" && event.key !== "End") return;
      const [stops, show] = read(plot);
      if (!stops.length) return;
      event.preventDefault();
      const last = stops.length - 1;
      if (!step) place = event.key === "Home" ? 0 : last;
      else place = place < 0 ? (step > 0 ? 0 : last) : Math.max(0, Math.min(last, place + step));
      hold(() => show(stops[place]));
    });
    plot.addEventListener("blur", () => { place = -1; clear(); });
  });
})();
