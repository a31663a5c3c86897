// Tables are whole without it: it sorts by a press on a column's head, filters long tables by words and by verdict, and
// shows definitions and the values of each seed by a press. Texts are set as text, never as markup.
(() => {
  "use strict";
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const make = (name, values = {}, text = "") => {
    const made = document.createElement(name);
    Object.entries(values).forEach(([key, value]) => made.setAttribute(key, value));
    made.textContent = text;
    return made;
  };

  // --- notes: what a head means, what a number is made of ---
  const note = make("div", { class: "note-box", role: "status", hidden: "" });
  document.body.append(note);
  let opened = null;
  const close = () => { note.hidden = true; opened = null; };
  // The values of the seeds, each a link to the folder of its run as the page lists them.
  const SEEDS = "by seed: ";
  const write = (element, text) => {
    const lines = text.split("\n");
    const list = document.getElementById(`runs-${element.dataset.record}`);
    const links = list ? all("a", list) : [];
    const values = lines[lines.length - 1].startsWith(SEEDS) ? lines[lines.length - 1].slice(SEEDS.length).split(", ") : [];
    const fit = values.length === links.length;
    note.textContent = (fit && values.length ? lines.slice(0, -1) : lines).join("\n");
    if (!links.length) return;
    note.append(fit ? `\n${SEEDS}` : "\nruns: ");
    links.forEach((link, place) => {
      const seed = link.closest("dd").previousElementSibling.textContent;
      const way = make("a", { href: link.getAttribute("href"), title: `Run folder of ${seed}` }, fit ? values[place] : seed);
      note.append(place ? ", " : "", way);
    });
  };
  const open = (element, text) => {
    if (opened === element) return close();
    opened = element;
    write(element, text);
    note.hidden = false;
    const place = element.getBoundingClientRect(), own = note.getBoundingClientRect();
    const left = Math.min(Math.max(8, place.left), document.documentElement.clientWidth - own.width - 8);
    const below = place.bottom + own.height + 12 < innerHeight;
    note.style.left = `${left + scrollX}px`;
    note.style.top = `${(below ? place.bottom + 6 : Math.max(8, place.top - own.height - 6)) + scrollY}px`;
  };
  const told = element => element.dataset.note;
  all("td[title], th[title]").forEach(cell => {
    cell.dataset.note = cell.title;
    cell.classList.add("noted");
  });
  document.addEventListener("click", event => {
    const element = event.target.closest("[data-note]");
    if (element && !event.target.closest("a, .sort")) open(element, told(element));
    else if (!event.target.closest(".note-box")) close();
  });
  document.addEventListener("keydown", event => {
    if (event.key === "Escape") { if (note.contains(event.target)) opened.focus(); close(); }
    const element = event.target.closest && event.target.closest(".noted");
    if (element && (event.key === "Enter" || event.key === " ")) { event.preventDefault(); open(element, told(element)); }
  });
  // The keyboard goes from number to number with the arrows, and into an open note with the tab key.
  const STEPS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
  const beside = (cell, [down, across]) => {
    if (across) {
      const row = all(".noted", cell.parentElement);
      return row[row.indexOf(cell) + across];
    }
    const rows = all("tr", cell.closest("table")).filter(row => row.offsetParent && row.cells[cell.cellIndex] && row.cells[cell.cellIndex].matches(".noted"));
    const next = rows[rows.indexOf(cell.parentElement) + down];
    return next && next.cells[cell.cellIndex];
  };
  all("table").forEach(table => {
    const numbers = all(".noted", table);
    if (!numbers.length) return;
    const every = table.matches(".summary, .stands");
    numbers.forEach((cell, place) => { cell.tabIndex = every || !place ? 0 : -1; });
    table.addEventListener("keydown", event => {
      const cell = event.target.closest(".noted"), step = STEPS[event.key];
      const next = cell && cell === event.target && step && beside(cell, step);
      if (!next) return;
      event.preventDefault();
      if (!every) { cell.tabIndex = -1; next.tabIndex = 0; }
      next.focus();
      if (opened) open(next, told(next));
    });
  });
  document.addEventListener("keydown", event => {
    if (event.key !== "Tab" || !opened) return;
    const links = all("a", note);
    if (event.target === opened && links.length && !event.shiftKey) { event.preventDefault(); links[0].focus(); }
    else if (note.contains(event.target) && event.target === (event.shiftKey ? links[0] : links[links.length - 1])) { event.preventDefault(); opened.focus(); }
  });

  // --- sorting ---
  const value = cell => {
    if (!cell) return null;
    if (cell.dataset.value !== undefined) return cell.dataset.value === "" ? null : Number(cell.dataset.value);
    const shown = (cell.querySelector(".n, .word") || cell).textContent.trim();
    const plain = shown.replaceAll("−", "-").replaceAll(",", "").replace(/^[×+]/, "");
    const number = /^-?[\d.]+(×10[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)?( .*)?$/.test(plain) ? parseFloat(plain) * power(plain) : NaN;
    return Number.isNaN(number) ? (shown === "—" || !shown ? null : shown) : number;
  };
  const power = text => {
    const found = /×10([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)/.exec(text);
    return found ? 10 ** Number([...found[1]].map(one => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹".indexOf(one)).map(at => at ? at - 1 : "-").join("")) : 1;
  };
  const compare = (a, b) => typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), undefined, { numeric: true });
  const sort = (table, column, down) => {
    all("tbody", table).forEach(body => {
      const rows = [...body.rows];
      const keyed = rows.map((row, place) => ({ row, place, key: value(row.cells[column]) }));
      keyed.sort((a, b) => {
        if (a.key === null || b.key === null) return (a.key === null) - (b.key === null) || a.place - b.place;
        return (down ? -1 : 1) * compare(a.key, b.key) || a.place - b.place;
      });
      body.append(...keyed.map(one => one.row));
    });
    all("thead th", table).forEach((head, place) => {
      if (!head.querySelector(".sort")) return;
      const own = head.cellIndex === column;
      head.setAttribute("aria-sort", own ? (down ? "descending" : "ascending") : "none");
    });
  };
  all("table.summary, table.forest, table.grid").forEach(table => {
    const last = table.tHead && table.tHead.rows[table.tHead.rows.length - 1];
    if (!last || all("tbody tr", table).length < 2 || all("[colspan], [rowspan]", table).length) return;
    [...last.cells].forEach(head => {
      const label = head.querySelector("abbr") || head.firstElementChild && head.querySelector(".name") || head;
      if (!head.textContent.trim() || head.classList.contains("axis")) return;
      const meaning = label.title || "";
      const button = make("button", { type: "button", class: "sort" }, label.textContent.trim());
      if (label === head) {
        const rest = all(":scope > *", head);
        button.textContent = [...head.childNodes].filter(own => own.nodeType === 3).map(own => own.textContent.trim()).join(" ");
        head.replaceChildren(button, ...rest);
      } else label.replaceWith(button);
      const arrow = head.querySelector(".dir");
      if (arrow) button.append(arrow);
      if (meaning) {
        const about = make("button", { type: "button", class: "info", "aria-label": `What ${label.textContent.trim()} means`, "data-note": meaning }, "?");
        button.after(about);
      }
      head.setAttribute("aria-sort", "none");
      const better = head.dataset.better;
      button.addEventListener("click", () => {
        const now = head.getAttribute("aria-sort");
        const down = now === "none" ? better !== "lower" && typeof value(table.tBodies[0].rows[0].cells[head.cellIndex]) === "number" : now !== "descending";
        sort(table, head.cellIndex, down);
      });
    });
  });
  // a definition in the head of a row
  all("abbr[title]").forEach(own => {
    own.dataset.note = own.title;
    own.setAttribute("role", "button");
    own.addEventListener("keydown", event => {
      if (event.key === "Enter" || event.key === " ") { event.preventDefault(); open(own, told(own)); }
    });
  });

  // --- filtering of long tables ---
  const LONG = 12;
  all("table.grid, table.measures").forEach(table => {
    const rows = all("tbody tr:not(.group)", table);
    if (rows.length <= LONG) return;
    const heads = table.tHead ? [...table.tHead.rows[table.tHead.rows.length - 1].cells] : [];
    const at = heads.findIndex(head => /^verdict/.test(head.textContent.trim()));
    const bar = make("div", { class: "filter" });
    const field = make("input", { type: "search", placeholder: "Filter the rows by a word", "aria-label": "Filter the rows by a word" });
    bar.append(field);
    let choice = null;
    if (at > 0) {
      choice = make("select", { "aria-label": "Rows of one verdict" });
      const words = [...new Set(rows.map(row => row.cells[at].textContent.trim()))].sort();
      ["every verdict", ...words].forEach((word, place) => choice.append(make("option", { value: place ? word : "" }, word)));
      bar.append(choice);
    }
    const counted = make("span", { class: "quiet", role: "status" });
    bar.append(counted);
    const apply = () => {
      const word = field.value.trim().toLocaleLowerCase(), verdict = choice ? choice.value : "";
      let left = 0;
      rows.forEach(row => {
        const kept = (!word || row.textContent.toLocaleLowerCase().includes(word)) && (!verdict || row.cells[at].textContent.trim() === verdict);
        row.hidden = !kept;
        left += kept;
      });
      all("tbody", table).forEach(body => {
        const group = body.querySelector(".group");
        if (group) group.hidden = ![...body.rows].some(row => row !== group && !row.hidden);
      });
      counted.textContent = word || verdict ? `${left} of ${rows.length}` : "";
    };
    field.addEventListener("input", apply);
    if (choice) choice.addEventListener("change", apply);
    table.closest(".scroll").before(bar);
  });
})();
