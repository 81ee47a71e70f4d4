// What the page adds for a reader with a script: tables that are sorted, filtered and taken along.
// Without it, all that is here can be read.
"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const make = (tag, properties = {}, ...children) => {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  };

  // --- Tables as text ---------------------------------------------------------------------------

  const words = (cell) => cell.innerText.replace(/\s*\n\s*/g, "; ").replace(/\s+/g, " ").trim();
  const shown = (cell) => !cell.hidden;

  // A figure and what stands beneath it are two columns, so that the figure can be reckoned with.
  function grid(table) {
    const rows = all("tr", table).filter((row) => !row.hidden);
    if (!table.classList.contains("scorecard")) {
      return rows.map((row) => [...row.cells].flatMap((cell) => [
        words(cell), ...Array(cell.colSpan - 1).fill(""),
      ]));
    }
    return rows.map((row, at) => [...row.cells].filter(shown).flatMap((cell) => {
      const key = cell.dataset.key;
      if (key === "picture") return [];
      if (key === "file") {
        return [at ? all("a", cell).map((a) => a.getAttribute("href")).join(" ") : words(cell)];
      }
      if (!cell.matches("[data-key]") || ["set", "dataset", "size"].includes(key)) {
        return [words(cell)];
      }
      if (!at) return [words(cell), `${words(cell)}: note`];
      return [cell.querySelector("b")?.textContent ?? "", all(".sub", cell).map((one) => one.textContent).join("; ")];
    }));
  }

  const quoted = (text) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const csv = (table) => grid(table).map((row) => row.map(quoted).join(",")).join("\n") + "\n";
  const tsv = (table) => grid(table).map((row) => row.join("\t")).join("\n") + "\n";

  function save(name, text) {
    const address = URL.createObjectURL(new Blob(["\ufeff", text], { type: "text/csv" }));
    const link = make("a", { href: address, download: name });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(address), 1000);
  }

  async function copy(text) {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // A page that was opened as a file may not be let at the clipboard.
      const field = make("textarea", { value: text });
      document.body.append(field);
      field.select();
      document.execCommand("copy");
      field.remove();
    }
  }

  const fileName = (text) => text.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "");

  function offerCsv() {
    for (const box of all(".scroll")) {
      const table = box.querySelector("table");
      if (!table || table.matches(".scorecard")) continue;
      const label = box.getAttribute("aria-label") ?? table.caption?.innerText ?? "table";
      const button = make("button", { type: "button", className: "take", textContent: "CSV" });
      button.setAttribute("aria-label", `Save as CSV: ${label}`);
      button.addEventListener("click", () => save(`${fileName(label)}.csv`, csv(table)));
      box.after(button);
    }
  }

  // --- The scorecard ----------------------------------------------------------------------------

  function sortable(table) {
    const body = table.tBodies[0];
    const first = [...body.rows];
    for (const head of all("thead th", table)) {
      const key = head.dataset.key;
      if (key === "picture" || key === "file") continue;
      const button = make("button", { type: "button", className: "sort" });
      button.append(...head.childNodes);
      head.append(button);
      head.setAttribute("aria-sort", "none");
      button.addEventListener("click", () => {
        const was = head.getAttribute("aria-sort");
        const textual = key === "set" || key === "dataset";
        const turns = textual ? ["ascending", "descending", "none"] : ["descending", "ascending", "none"];
        const now = turns[(turns.indexOf(was === "none" ? "none" : was) + 1) % 3];
        for (const other of all("thead th[aria-sort]", table)) other.setAttribute("aria-sort", "none");
        head.setAttribute("aria-sort", now);
        const of = (row) => row.querySelector(`[data-key="${key}"]`);
        const value = (row) => (of(row).dataset.v === undefined ? NaN : Number(of(row).dataset.v));
        const sign = now === "ascending" ? 1 : -1;
        const order = now === "none" ? first : [...first].sort((a, b) => {
          if (textual) return sign * words(of(a)).localeCompare(words(of(b)));
          const [x, y] = [value(a), value(b)];
          if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y);
          return x === y ? 0 : sign * (x < y ? -1 : 1);
        });
        body.append(...order);
      });
    }
  }

  function filterable(table, bar) {
    const rows = [...table.tBodies[0].rows];
    const count = make("output", { className: "small" });
    const chosen = {};
    const apply = () => {
      for (const row of rows) {
        row.hidden = Object.entries(chosen).some(([key, value]) => value && row.dataset[key] !== value);
      }
      const left = rows.filter((row) => !row.hidden).length;
      count.textContent = left === rows.length ? `${left} rows` : `${left} of ${rows.length} rows`;
    };
    const named = { dataset: "dataset", method: "method", size: "images per class", init: "start" };
    for (const [key, name] of Object.entries(named)) {
      const values = [...new Set(rows.map((row) => row.dataset[key]))].filter(Boolean);
      if (values.length < 2) continue;
      const select = make("select", {}, make("option", { value: "", textContent: "all" }),
        ...values.map((value) => make("option", { value, textContent: value })));
      select.dataset.filter = key;
      select.addEventListener("change", () => { chosen[key] = select.value; apply(); });
      bar.append(make("label", {}, `${name} `, select));
    }
    apply();
    return count;
  }

  function choosable(table, bar) {
    const menu = make("div", { className: "menu" });
    for (const head of all("thead th", table)) {
      const key = head.dataset.key;
      if (key === "set") continue;
      const box = make("input", { type: "checkbox", checked: true });
      box.dataset.column = key;
      box.addEventListener("change", () => {
        for (const cell of all(`[data-key="${key}"]`, table)) cell.hidden = !box.checked;
      });
      menu.append(make("label", {}, box, ` ${head.innerText}`));
    }
    bar.append(make("details", { className: "columns" },
      make("summary", { textContent: "columns" }), menu));
  }

  function scorecard() {
    const table = document.querySelector("table.scorecard");
    if (!table) return;
    const bar = make("div", { className: "bar-tools" });
    const count = filterable(table, bar);
    choosable(table, bar);
    sortable(table);
    const copied = make("button", { type: "button", textContent: "copy as TSV" });
    copied.addEventListener("click", async () => {
      await copy(tsv(table));
      copied.textContent = "copied";
      setTimeout(() => { copied.textContent = "copy as TSV"; }, 1500);
    });
    const saved = make("button", { type: "button", textContent: "save as CSV" });
    saved.addEventListener("click", () => save("scorecard.csv", csv(table)));
    bar.append(copied, saved, count);
    table.closest(".scroll").before(bar);
  }

  // --- Getting about ----------------------------------------------------------------------------

  function unfold(target) {
    for (let at = target; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
  }

  function links() {
    const follow = () => {
      const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
      if (target) { unfold(target); target.scrollIntoView(); }
    };
    addEventListener("hashchange", follow);
    follow();
  }

  function navigation() {
    const entries = all("nav a").map((link) => [link, document.querySelector(link.hash)]);
    const mark = () => {
      const line = 120;
      let current = entries[0];
      for (const entry of entries) {
        if (entry[1] && entry[1].getBoundingClientRect().top <= line) current = entry;
      }
      for (const [link] of entries) {
        if (link === current[0]) {
          if (link.hasAttribute("aria-current")) continue;
          link.setAttribute("aria-current", "true");
          const list = link.closest("ol");
          list.scrollLeft = link.offsetLeft - list.clientWidth / 2;
        } else link.removeAttribute("aria-current");
      }
    };
    let waits = false;
    addEventListener("scroll", () => {
      if (waits) return;
      waits = true;
      requestAnimationFrame(() => { waits = false; mark(); });
    }, { passive: true });
    mark();
  }

  function printing() {
    let closed = [];
    addEventListener("beforeprint", () => {
      closed = all("details:not([open]):not(.columns)");
      for (const fold of closed) fold.open = true;
    });
    addEventListener("afterprint", () => { for (const fold of closed) fold.open = false; });
  }

  scorecard();
  offerCsv();
  links();
  navigation();
  printing();
})();
