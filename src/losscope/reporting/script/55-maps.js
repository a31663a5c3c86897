// Maps: zoom, one class or some, the same item in all maps, one scale or each its own, and a player over epochs.
(() => {
  "use strict";
  const { all, make, write, place, clear, cursor, hold } = figures;
  const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  const VALUE = Object.fromEntries([...LETTERS].map((letter, index) => [letter, index]));
  const calm = matchMedia("(prefers-reduced-motion: reduce)");

  // Coordinates of a map's points in the order of its paths: two letters each, high digit first.
  const decode = (text, half) => {
    const out = new Float32Array(text.length / 2);
    for (let place = 0; place < out.length; place++) out[place] = 64 * VALUE[text[2 * place]] + VALUE[text[2 * place + 1]] - half;
    return out;
  };

  const read = svg => {
    const half = Number(svg.dataset.own);
    const inner = svg.querySelector(".stretched");
    const paths = all(".kind", inner);
    const [x, y, kinds, items] = [[], [], [], []];
    const parts = paths.map(path => {
      const start = x.length;
      const own = path.dataset.items ? path.dataset.items.split(" ") : [];
      path.getAttribute("d").split("M").slice(1).forEach((piece, index) => {
        const [across, down] = piece.slice(0, -2).split(" ").map(Number);
        x.push(across); y.push(down); kinds.push(path.dataset.class); items.push(own[index]);
      });
      return { path, kind: path.dataset.class, name: path.dataset.name, start, end: x.length, style: path.getAttribute("style") };
    });
    const last = new Float32Array(x.flatMap((value, index) => [value, y[index]]));
    const epochs = (svg.dataset.epochs || "").split(" ").filter(Boolean).map(Number);
    const frames = svg.dataset.course ? svg.dataset.course.split(" ").map(text => decode(text, half)) : [];
    const map = { svg, inner, parts, kinds, items, xy: last, last, epochs, frames, half, reach: Number(svg.dataset.reach), zoom: 1, cx: 0, cy: 0 };
    map.where = new Map(items.map((item, index) => [item, index]).filter(([item]) => item !== undefined));
    return map;
  };

  const view = (map, own) => {
    const side = (own ? map.half : map.reach) / map.zoom;
    const most = (own ? map.half : map.reach) - side;
    map.cx = Math.max(-most, Math.min(most, map.cx));
    map.cy = Math.max(-most, Math.min(most, map.cy));
    map.side = side;
    map.inner.setAttribute("viewBox", `${map.cx - side} ${map.cy - side} ${2 * side} ${2 * side}`);
    map.svg.classList.toggle("zoomed", map.zoom > 1);
    names(map);
  };
  const spot = (map, x, y) => [50 + 50 * (x - map.cx) / map.side, 50 + 50 * (y - map.cy) / map.side];
  const names = map => all(".label", map.svg).forEach(label => {
    const part = map.parts.find(one => one.kind === label.dataset.class);
    let [x, y] = [0, 0];
    for (let place = part.start; place < part.end; place++) { x += map.xy[2 * place]; y += map.xy[2 * place + 1]; }
    const [left, top] = spot(map, x / (part.end - part.start), y / (part.end - part.start));
    label.setAttribute("x", `${left}%`);
    label.setAttribute("y", `${top}%`);
    label.style.visibility = left < 0 || left > 100 || top < 0 || top > 100 ? "hidden" : "";
  });
  const draw = map => {
    map.parts.forEach(part => {
      let d = "";
      for (let place = part.start; place < part.end; place++) d += `M${Math.round(map.xy[2 * place])} ${Math.round(map.xy[2 * place + 1])}h0`;
      part.path.setAttribute("d", d);
    });
    names(map);
  };

  // Where the points were: between two epochs that were kept they move in a straight line.
  const move = (map, epoch) => {
    if (!map.frames.length) return;
    let next = map.epochs.findIndex(one => one >= epoch);
    if (next < 0) next = map.epochs.length - 1;
    const before = Math.max(0, map.epochs[next] === epoch ? next : next - 1);
    const part = next === before ? 0 : (epoch - map.epochs[before]) / (map.epochs[next] - map.epochs[before]);
    const [a, b] = [map.frames[before], map.frames[next]];
    map.xy = a.map((value, index) => value + part * (b[index] - value));
    draw(map);
  };

  const light = (maps, item, own, index) => {
    all(".lit").forEach(one => one.remove());
    maps.forEach(map => {
      const at = map === own ? index : item === undefined ? undefined : map.where.get(item);
      if (at === undefined) return;
      const [left, top] = spot(map, map.xy[2 * at], map.xy[2 * at + 1]);
      const ring = map.svg.appendChild(make("svg", { class: "lit", x: `${left}%`, y: `${top}%`, overflow: "visible" }));
      ring.append(make("circle", { r: 7 }));
    });
  };
  const nearest = (map, x, y) => {
    const frame = map.svg.getBoundingClientRect();
    const unit = 2 * map.side / frame.width;
    const [across, down] = [map.cx - map.side + (x - frame.left) * unit, map.cy - map.side + (y - frame.top) * unit];
    let [best, found] = [(14 * unit) ** 2, -1];
    for (let place = 0; place < map.kinds.length; place++) {
      const far = (map.xy[2 * place] - across) ** 2 + (map.xy[2 * place + 1] - down) ** 2;
      if (far < best) [best, found] = [far, place];
    }
    return found;
  };

  const control = (bar, kind, text, title) => {
    const button = bar.appendChild(document.createElement("button"));
    Object.assign(button, { type: "button", className: kind, textContent: text });
    button.setAttribute("aria-label", title);
    button.title = title;
    return button;
  };

  document.querySelectorAll(".figures").forEach(group => {
    const maps = all(".map", group).map(read);
    if (!maps.length) return;
    let own = false;
    const picked = new Set();
    const bar = document.createElement("div");
    bar.className = "controls";
    group.before(bar);
    const again = () => maps.forEach(map => view(map, own));

    // --- classes ---
    const kinds = new Map(maps.flatMap(map => map.parts.map(part => [part.kind, part.name])));
    const select = document.createElement("select");
    select.setAttribute("aria-label", "Class to show");
    const paint = () => {
      const order = [...picked];
      maps.forEach(map => map.parts.forEach(part => {
        const on = picked.has(part.kind);
        part.path.classList.toggle("muted", picked.size > 0 && !on);
        const given = part.style || `color:var(--class-${order.indexOf(part.kind) % 10})`;
        if (picked.size ? on : part.style) part.path.setAttribute("style", given); else part.path.removeAttribute("style");
        if (on) map.inner.append(part.path);
        let label = map.svg.querySelector(`.label[data-class="${part.kind}"]`);
        if (on && !label) {
          label = map.svg.appendChild(make("text", { class: "label middle added", "data-class": part.kind, dy: "-.6em" }));
          label.textContent = part.name.length > 14 ? part.name.slice(0, 13) + "…" : part.name;
        }
        if (label && !on && label.matches(".added")) label.remove();
        else if (label) label.style.display = picked.size && !on ? "none" : "";
      }));
      select.value = picked.size === 1 ? order[0] : "";
      select.options[0].textContent = picked.size > 1 ? `${picked.size} classes` : "all classes";
      again();
    };
    const pick = (kind, more) => {
      const had = picked.has(kind);
      if (!more) picked.clear();
      had ? picked.delete(kind) : picked.add(kind);
      paint();
    };
    if (kinds.size > 1) {
      [["", "all classes"], ...kinds].forEach(([value, name]) => select.append(new Option(name, value)));
      select.addEventListener("change", () => { picked.clear(); if (select.value) picked.add(select.value); paint(); });
      bar.append(select);
    }

    // --- scale and zoom ---
    const zoom = (map, factor, x = map.cx, y = map.cy) => {
      const next = Math.max(1, Math.min(40, map.zoom * factor));
      map.cx = x + (map.cx - x) * map.zoom / next;
      map.cy = y + (map.cy - y) * map.zoom / next;
      map.zoom = next;
      view(map, own);
    };
    control(bar, "zoom", "+", "Zoom in").addEventListener("click", () => maps.forEach(map => zoom(map, 1.6)));
    control(bar, "zoom", "−", "Zoom out").addEventListener("click", () => maps.forEach(map => zoom(map, 1 / 1.6)));
    control(bar, "reset", "reset", "Show all points and classes again").addEventListener("click", () => {
      maps.forEach(map => Object.assign(map, { zoom: 1, cx: 0, cy: 0 }));
      picked.clear();
      paint();
    });
    if (maps.some(map => map.reach > map.half)) {
      const scale = control(bar, "own", "own scales", "Each map on a scale of its own");
      scale.setAttribute("aria-pressed", "false");
      scale.addEventListener("click", () => { own = !own; scale.setAttribute("aria-pressed", own); again(); });
    }

    // --- the player ---
    const epochs = [...new Set(maps.flatMap(map => map.epochs))].sort((a, b) => a - b);
    if (epochs.length > 1) {
      const player = bar.appendChild(document.createElement("span"));
      player.className = "player";
      const play = control(player, "play", "▶", "Play the epochs");
      const slider = player.appendChild(Object.assign(document.createElement("input"), { type: "range", min: 0, max: epochs.length - 1, step: "any", value: epochs.length - 1 }));
      slider.setAttribute("aria-label", "Epoch of the maps");
      const said = player.appendChild(document.createElement("output"));
      const show = () => {
        const at = Number(slider.value);
        const low = Math.min(epochs.length - 2, Math.floor(at));
        const epoch = epochs[low] + (at - low) * (epochs[low + 1] - epochs[low]);
        said.textContent = `epoch ${Math.round(epoch)}`;
        slider.setAttribute("aria-valuetext", said.textContent);
        maps.forEach(map => move(map, epoch));
        all(".lit").forEach(one => one.remove());
        if (at < epochs.length - 1) cursor("epoch", epoch, "pinned");
        else all(".pinned").forEach(one => one.remove());
      };
      said.textContent = `epoch ${epochs[epochs.length - 1]}`;
      slider.addEventListener("input", show);
      slider.addEventListener("change", () => { slider.value = Math.round(slider.value); show(); });
      slider.addEventListener("keydown", event => {
        const step = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 }[event.key];
        if (step) { event.preventDefault(); slider.value = Math.round(slider.value) + step; show(); }
      });
      // A press on a curve shows the maps at that epoch.
      document.addEventListener("losscope-epoch", event => {
        const low = epochs.findIndex((epoch, place) => place === epochs.length - 2 || epochs[place + 1] >= event.detail);
        const part = (event.detail - epochs[low]) / (epochs[low + 1] - epochs[low]);
        slider.value = low + Math.max(0, Math.min(1, part));
        show();
      });
      let timer;
      const stop = () => { cancelAnimationFrame(timer); timer = undefined; play.textContent = "▶"; play.setAttribute("aria-label", "Play the epochs"); };
      play.addEventListener("click", () => {
        if (timer !== undefined) return stop();
        if (Number(slider.value) >= epochs.length - 1) slider.value = 0;
        play.textContent = "❚❚";
        play.setAttribute("aria-label", "Pause");
        let before;
        const tick = now => {
          const step = before === undefined ? 0 : (now - before) / 700;
          if (!calm.matches || step >= 1 || before === undefined) {
            slider.value = Number(slider.value) + (calm.matches ? Math.floor(step) : step);
            before = now;
            show();
          }
          if (Number(slider.value) >= epochs.length - 1) return stop();
          timer = requestAnimationFrame(tick);
        };
        timer = requestAnimationFrame(tick);
      });
    }

    // --- pointers ---
    maps.forEach(map => {
      const held = new Map();
      let [moved, active] = [false, false];
      const inside = event => {
        const frame = map.svg.getBoundingClientRect();
        const unit = 2 * map.side / frame.width;
        return [map.cx - map.side + (event.clientX - frame.left) * unit, map.cy - map.side + (event.clientY - frame.top) * unit, unit];
      };
      // One point: lit in all maps, and told.
      const tell = (at, x, y) => {
        light(maps, map.items[at], map, at);
        const item = map.items[at] === undefined ? "" : `row ${map.items[at]}`;
        const part = map.parts.find(one => one.kind === map.kinds[at]);
        write("", [{ name: `class ${part.name}`, text: item, colour: getComputedStyle(part.path).stroke }]);
        place(x, y);
      };
      map.svg.addEventListener("wheel", event => {
        if (!active && !event.ctrlKey && !event.metaKey) return;
        event.preventDefault();
        zoom(map, Math.exp(-event.deltaY / 300), ...inside(event));
      }, { passive: false });
      map.svg.addEventListener("pointerdown", event => { held.set(event.pointerId, event); moved = false; });
      map.svg.addEventListener("pointermove", event => {
        const before = held.get(event.pointerId);
        if (before && held.size === 2) {
          const [other] = [...held.values()].filter(one => one.pointerId !== event.pointerId);
          const far = one => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY);
          zoom(map, far(event) / Math.max(far(before), 1), ...inside(event));
          moved = true;
        } else if (before && map.zoom > 1) {
          const unit = inside(event)[2];
          map.cx -= (event.clientX - before.clientX) * unit;
          map.cy -= (event.clientY - before.clientY) * unit;
          moved = moved || Math.hypot(event.clientX - before.clientX, event.clientY - before.clientY) > 2;
          view(map, own);
        }
        if (before) held.set(event.pointerId, event);
        const at = nearest(map, event.clientX, event.clientY);
        if (at < 0) { all(".lit").forEach(one => one.remove()); return clear(); }
        tell(at, event.clientX, event.clientY);
      });
      ["pointerup", "pointercancel", "pointerleave"].forEach(kind => map.svg.addEventListener(kind, event => {
        held.delete(event.pointerId);
        if (kind === "pointerleave") { active = false; all(".lit").forEach(one => one.remove()); clear(); }
      }));
      map.svg.addEventListener("click", event => {
        if (moved) return;
        active = true;
        const at = nearest(map, event.clientX, event.clientY);
        if (at >= 0) pick(map.kinds[at], event.shiftKey || event.ctrlKey || event.metaKey);
        else if (picked.size) { picked.clear(); paint(); }
      });
      // The keyboard goes from item to item of a class, and from class to class; Enter picks the class.
      const plot = map.svg.closest(".plot");
      let here = -1;
      plot.tabIndex = 0;
      plot.setAttribute("aria-describedby", "figure-keys");
      plot.addEventListener("keydown", event => {
        if (event.key === "Enter" && here >= 0) { event.preventDefault(); return pick(map.kinds[here], event.shiftKey); }
        const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key], turn = { ArrowUp: -1, ArrowDown: 1 }[event.key];
        if (!step && !turn) return;
        event.preventDefault();
        const part = map.parts.findIndex(one => here >= one.start && here < one.end);
        if (here < 0) here = 0;
        else if (step) here += step;
        else here = map.parts[Math.max(0, Math.min(map.parts.length - 1, part + turn))].start;
        here = Math.max(0, Math.min(map.kinds.length - 1, here));
        hold(() => {
          const frame = map.svg.getBoundingClientRect();
          const [left, top] = spot(map, map.xy[2 * here], map.xy[2 * here + 1]);
          tell(here, frame.left + left * frame.width / 100, frame.top + top * frame.height / 100);
        });
      });
      plot.addEventListener("blur", () => { here = -1; all(".lit").forEach(one => one.remove()); clear(); });
      view(map, own);
    });
  });
})();
