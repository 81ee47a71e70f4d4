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
      const notes = all(".sub", cell).map((one) => one.textContent);
      return [cell.querySelector("b")?.textContent ?? "", notes.join("; ")];
    }));
  }

  const tsv = (table) => grid(table).map((row) => row.join("\t")).join("\n") + "\n";

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
      button.addEventListener("click", () => common.saveCsv(fileName(label), grid(table)));
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
        const [one, two] = textual ? ["ascending", "descending"] : ["descending", "ascending"];
        const turns = [one, two, "none"];
        const now = turns[(turns.indexOf(was === "none" ? "none" : was) + 1) % 3];
        const sorted = all("thead th[aria-sort]", table);
        for (const other of sorted) other.setAttribute("aria-sort", "none");
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
        const differs = ([key, value]) => value && row.dataset[key] !== value;
        row.hidden = Object.entries(chosen).some(differs);
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
    saved.addEventListener("click", () => common.saveCsv("scorecard", grid(table)));
    bar.append(copied, saved, count);
    table.closest(".scroll").before(bar);
  }

  // --- Dialogs ----------------------------------------------------------------------------------

  function dialog(title, ...content) {
    const close = make("button", { type: "button", textContent: "Close" });
    const box = make("dialog", {},
      make("div", { className: "head" }, make("h2", { textContent: title }), close), ...content);
    box.setAttribute("aria-label", title);
    const before = document.activeElement;
    close.addEventListener("click", () => box.close());
    box.addEventListener("click", (event) => { if (event.target === box) box.close(); });
    box.addEventListener("close", () => { box.remove(); before?.focus(); });
    document.body.append(box);
    box.showModal();
    return box;
  }

  // --- Images -----------------------------------------------------------------------------------

  function picture(image, title) {
    const copy = image.cloneNode();
    copy.removeAttribute("class");
    copy.className = "pixels";
    const row = image.getAttribute("width") > 3 * image.getAttribute("height");
    const caption = make("figcaption", { textContent: title });
    return make("figure", { className: row ? "row" : "" }, copy, caption);
  }

  // An image, and the real images of its class beside.
  function enlarge(image) {
    const card = image.closest("figure");
    const one = image.closest("[data-class]");
    const title = [card?.querySelector("figcaption b")?.innerText, one?.dataset.class]
      .filter(Boolean).join(": ") || image.alt;
    const shown = [picture(image, image.alt)];
    const real = one && card.hasAttribute("data-cell") &&
      all("[data-real] [data-class]", image.closest("section"))
        .find((other) => other.dataset.class === one.dataset.class &&
          other.closest(".block") === card.closest(".block").parentElement.closest(".block"));
    if (real) shown.push(picture(real.querySelector("img"), "real training images of this class"));
    const key = card?.dataset.cell;
    const near = key && all("[data-nearest]").find((other) => other.dataset.nearest === key);
    if (near) {
      for (const img of all("img", near)) shown.push(picture(img, img.alt));
    }
    dialog(title, make("div", { className: "shown" }, ...shown));
  }

  function zoomable() {
    for (const image of all(".card img.pixels, .hero img.pixels, img.thumb")) {
      if (image.closest(".evolution")) continue;
      const button = make("button", { type: "button", className: "zoom" });
      button.setAttribute("aria-label", `Enlarge: ${image.alt}`);
      image.replaceWith(button);
      button.append(image);
      button.addEventListener("click", () => enlarge(image));
    }
  }

  // The sheet of an evolution has a row a snapshot: one of them is shown at a time.
  function sliders() {
    for (const box of all(".evolution")) {
      const steps = box.dataset.iterations.split(" ");
      const image = box.querySelector("img");
      const view = box.querySelector(".window");
      const height = Number(box.dataset.height);
      const whole = Number(image.getAttribute("height"));
      view.style.aspectRatio = `${image.getAttribute("width")} / ${height}`;
      const slider = make("input", { type: "range", min: 0, max: steps.length - 1, step: 1 });
      slider.setAttribute("aria-label", "iteration");
      const text = box.querySelector(".at");
      const rest = text.innerText.split(".").slice(1).join(".").trim();
      const show = () => {
        const at = Number(slider.value);
        image.style.transform = `translateY(${-100 * at * (height + 1) / whole}%)`;
        text.textContent = `iteration ${steps[at]}${rest ? `. ${rest}` : ""}`;
        slider.setAttribute("aria-valuetext", `iteration ${steps[at]}`);
      };
      slider.value = steps.length - 1;
      slider.addEventListener("input", show);
      view.after(slider);
      show();
    }
  }

  // --- Confusions -------------------------------------------------------------------------------

  // What a count is of stands below the table, for the pointer and for the arrow keys.
  function confusions() {
    for (const table of all("table.confusion")) {
      const line = make("output", { className: "caption said" });
      table.closest(".scroll").after(line);
      const rows = [...table.tBodies[0].rows];
      const answers = [...table.tHead.rows[0].cells].map((cell) => cell.textContent);
      const count = (cell) => Number(cell.textContent);
      const say = (event) => {
        const cell = event.target.closest("td");
        if (!cell) return;
        const row = cell.parentElement;
        const tested = [...row.cells].slice(1).reduce((sum, one) => sum + count(one), 0);
        const [name, answer] = [row.cells[0].textContent, answers[cell.cellIndex]];
        const share = (100 * count(cell) / tested).toFixed(1);
        line.textContent = `${name} taken for ${answer}: ${count(cell)} of ${tested} images, ` +
          `${share} %${name === answer ? ", which is right" : ""}`;
      };
      table.addEventListener("pointerover", say);
      table.addEventListener("focusin", say);
      // One cell is reached by Tab, the others from there.
      let at = rows[0].cells[1];
      at.tabIndex = 0;
      const steps = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
      table.addEventListener("keydown", (event) => {
        const cell = event.target.closest("td");
        if (!cell) return;
        if (event.key === "Enter") {
          event.preventDefault(); // else the key closes what it opens
          cell.click();
        }
        const [down, right] = steps[event.key] ?? [0, 0];
        const next = rows[rows.indexOf(cell.parentElement) + down]?.cells[cell.cellIndex + right];
        if (next === cell || next?.tagName !== "TD") return;
        event.preventDefault();
        at.tabIndex = -1;
        at = next;
        at.tabIndex = 0;
        at.focus();
      });
    }
  }

  // --- Where a figure comes from ----------------------------------------------------------------

  let read;
  const traced = () => (read ??= JSON.parse(document.getElementById("jobs").textContent));

  // What the nearest element around a figure says of it.
  const said = (place, name) => place.closest(`[data-${name}]`)?.dataset[name] ?? "";

  function jobsOf(place, rule, network) {
    const cells = [said(place, "cell"), said(place, "against")].filter(Boolean).map((key) => {
      const [dataset, method, init, ipc] = key.split("|");
      return { dataset, method, init, ipc };
    });
    const { dataset } = cells[0];
    const whole = rule === "train_vanilla" || rule === "search_full";
    const asked = ["strategy", "memory", "steps"].filter((name) => said(place, name));
    return traced().jobs.filter((job) => {
      if (rule && job.rule !== rule) return false;
      if (network && job.job.network && job.job.network !== network) return false;
      if (job.job.dataset !== dataset) return false;
      if (job.rule === "train_experts") return false;
      if (whole) return true;
      return asked.every((name) => job.job[name] === said(place, name)) && cells.some((about) =>
        Object.entries(about).every(([name, value]) => (job.job[name] ?? "") === value));
    });
  }

  function expertsOf(place) {
    const dataset = said(place, "cell").split("|")[0];
    return traced().jobs.filter((job) => job.rule === "train_experts" &&
      job.job.dataset === dataset && job.job.recipe === said(place, "recipe"));
  }

  const filled = (pattern, values) => pattern.replace(/{(\w+)}/g, (_, name) => values[name] ?? "");
  const plain = (one) => (typeof one === "object" ? JSON.stringify(one) : one);
  const listed = (value) => (value && typeof value === "object"
    ? Object.entries(value).map(([key, one]) => `${key} ${plain(one)}`).join(", ")
    : String(value));

  function described(job) {
    const data = traced();
    const list = make("dl", { className: "plain" });
    const add = (name, ...value) =>
      list.append(make("dt", { textContent: name }), make("dd", {}, ...value));
    const place = data.places[job.rule];
    const link = (address, text) => make("a", { href: encodeURI(address), textContent: text });
    add("what", listed(job.job));
    if (place) {
      const folder = filled(place.folder, job.job);
      const files = job.files ?? [];
      const file = files.at(-1) ?? "metrics.csv";
      const target = `${data.results}/${folder.replace(/^\.\//, "")}/${file}`;
      const command = `snakemake --cores all --configfile CONFIG.yaml --force '${target}'`;
      add("made again by", make("code", { textContent: command }));
      const log = filled(place.log, job.job);
      add("log", link(log, log.replace(/^\.\//, "")));
      const links = files.flatMap((one, at) => [at ? ", " : "", link(`${folder}/${one}`, one)]);
      if (files.length) add("files", ...links);
    }
    const named = { settings: "settings", code: "code digest", commit: "commit", device: "device",
      host: "host", versions: "versions", threads: "threads" };
    for (const [kind, name] of Object.entries(named)) {
      if (job[kind] !== undefined) add(name, listed(data.shared[kind][job[kind]]));
    }
    if (job.host === undefined) add("host", "in the log"); // the record is of an earlier version
    add("started", job.started ?? "not recorded");
    add("took", job.took ?? "not recorded");
    add("energy", job.energy ?? "not measured");
    if (job.memory) {
      const kind = data.shared.memory_kind?.[job.memory_kind];
      add("peak memory", job.memory + (kind === undefined ? "" : ` (${kind})`));
    }
    return list;
  }

  function explain(place, figure, rule, network) {
    const jobs = jobsOf(place, rule, network);
    if (rule === "distill" && said(place, "recipe")) jobs.push(...expertsOf(place));
    const most = 40;
    const folds = jobs.slice(0, most).map((job, at) => {
      const textContent = `${job.rule}: ${Object.values(job.job).join(", ")}`;
      return make("details", { open: at === 0 }, make("summary", { textContent }), described(job));
    });
    const add = (textContent) => folds.push(make("p", { textContent }));
    if (jobs.length > most) add(`${jobs.length - most} more: see Provenance.`);
    if (!jobs.length) add("No record of its job is in this study.");
    const count = `${jobs.length} job${jobs.length === 1 ? "" : "s"}`;
    dialog(`Where ${figure} comes from: ${count}`, ...folds);
  }

  function traceable() {
    for (const row of all("tr[data-cell]")) {
      const head = row.querySelector("th[scope=row]");
      if (!head) continue;
      const title = "the jobs behind this row";
      const button = make("button", { type: "button", className: "why", title });
      button.append(...[...head.childNodes].filter((node) => !(node.classList?.contains("sub"))));
      head.prepend(button);
      button.addEventListener("click", () => explain(row, button.innerText.trim(), "", ""));
    }
    document.addEventListener("click", (event) => {
      const cell = event.target.closest?.("[data-cell] td");
      if (!cell || event.target.closest("a, button, img") || !/\d/.test(cell.innerText)) return;
      if (cell.matches("[data-key=size]")) return;
      const figure = (cell.querySelector("b") ?? cell).innerText.split("\n")[0];
      explain(cell, figure, said(cell, "rule"), said(cell, "network"));
    });
  }

  // --- Getting about ----------------------------------------------------------------------------

  function unfold(target) {
    for (let at = target; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
  }

  function links() {
    const follow = () => {
      const name = decodeURIComponent(location.hash.slice(1));
      const target = name && document.getElementById(name);
      if (!target) return;
      unfold(target);
      const section = target.tagName === "H2" && target.parentElement;
      const blocks = section ? all(":scope > details.block", section) : [];
      if (blocks.length && !blocks.some((block) => block.open)) blocks[0].open = true;
      target.scrollIntoView();
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

  document.documentElement.classList.add("js");
  scorecard();
  traceable();
  confusions();
  zoomable();
  sliders();
  offerCsv();
  links();
  navigation();
  printing();
})();
