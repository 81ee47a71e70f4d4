// Draws the page's charts where they come into view, and answers to pointer, legend and buttons.
(() => {
  "use strict";
  const plots = [...document.querySelectorAll(".plot")];
  const drawn = new Map(); // of each plot that is drawn: what the functions below need
  const PADDING = {left: 46, top: 12, bottom: 44};
  const NEAR = 40; // pixels from a point that a pointer is at

  async function unpacked(id) {
    const text = atob(document.getElementById(id).textContent);
    const bytes = Uint8Array.from(text, (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).text();
  }

  let loading = null;
  function load() {
    loading ??= Promise.all([unpacked("chart-data"), unpacked("chart-library")]).then(
      ([data, library]) => {
        const script = document.createElement("script");
        script.textContent = library;
        document.head.append(script);
        return JSON.parse(data);
      });
    return loading;
  }

  // ---- drawing ----------------------------------------------------------------------------------

  async function draw(plot, charts) {
    const chart = charts[plot.dataset.chart];
    const options = {mode: "vega", renderer: "svg", actions: false, tooltip: false,
      hover: false, defaultStyle: false, logLevel: 1};
    const inside = document.createElement("div"); // Vega takes the label of what it draws into
    plot.append(inside);
    const {view} = await vegaEmbed(inside, chart.spec, options);
    const one = {plot, chart, view, names: chart.spec.data[0].values};
    drawn.set(plot, one);
    fit(one);
    hide(one);
    const svg = plot.querySelector("svg");
    svg.style.touchAction = "pan-y";
    answer(one, svg);
    plot.closest("figure").append(tools(one));
    plot.dataset.drawn = "";
  }

  // The names at the lines' ends take at most two fifths of a narrow chart.
  function fit({plot, chart, view}) {
    const all = plot.clientWidth;
    if (!all) return;
    const room = Math.min(chart.spec.padding.right, 0.4 * all);
    view.padding({...PADDING, right: room}).width(Math.max(80, all - PADDING.left - room));
    view.signal("room", room).run();
  }

  function hide({plot, view, names}) {
    const off = hidden.get(plot.closest(".chartset"));
    const numbers = names.filter((line) => off.has(line.name)).map((line) => line.s);
    view.signal("hover", null).signal("hidden", numbers).run();
  }

  function zoom({view}, x, y) {
    view.signal("xzoom", x).signal("yzoom", y).run();
  }

  // ---- pointer ----------------------------------------------------------------------------------

  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  document.body.append(tip);

  function place({view}, svg, event) {
    const box = svg.getBoundingClientRect();
    const {left, top} = view.padding();
    const scale = svg.viewBox.baseVal.width / box.width;
    return [(event.clientX - box.left) * scale - left, (event.clientY - box.top) * scale - top];
  }

  function nearest({view}, [x, y]) {
    const across = view.scale("x"), down = view.scale("y");
    const width = view.width(), height = view.height();
    let best = null, least = NEAR * NEAR;
    for (const point of view.data("shown")) {
      const px = across(point.x), py = down(point.y);
      if (px < -1 || px > width + 1 || py < -1 || py > height + 1) continue;
      const far = (px - x) ** 2 + (py - y) ** 2;
      if (far < least) [best, least] = [point, far];
    }
    return best;
  }

  const number = (value) =>
    Number(value.toPrecision(5)).toLocaleString("en", {maximumSignificantDigits: 5});

  function show(point, {chart}, event) {
    const spread = (point.hi - point.lo) / 2;
    const lines = [
      point.look.name + (point.look.thin ? " (thin line)" : ""),
      `${chart.x} ${number(point.x)}`,
      number(point.y) + (spread > 0 ? ` \u00b1 ${number(spread)}` : ""),
      point.n === 1 ? "1 measurement" : `${number(point.n)} measurements`,
    ];
    tip.replaceChildren(...lines.map((text, at) => {
      const row = document.createElement(at ? "span" : "b");
      row.textContent = text;
      return row;
    }));
    tip.style.setProperty("--key", point.look.colour);
    tip.hidden = false;
    const {offsetWidth: wide, offsetHeight: high} = tip;
    const left = Math.min(event.clientX + 14, document.documentElement.clientWidth - wide - 8);
    const above = event.clientY - high - 14;
    tip.style.left = `${Math.max(8, left)}px`;
    tip.style.top = `${above < 8 ? event.clientY + 18 : above}px`;
  }

  function away({view}) {
    tip.hidden = true;
    if (view.signal("hover")) view.signal("hover", null).run();
  }

  function answer(one, svg) {
    const {view} = one;
    let start = null;
    svg.addEventListener("pointerdown", (event) => {
      if (event.button || event.pointerType === "touch") return;
      start = place(one, svg, event);
      svg.setPointerCapture(event.pointerId);
      event.preventDefault(); // no text is marked on the way
    });
    const move = (event) => {
      const at = place(one, svg, event);
      if (start) {
        tip.hidden = true;
        view.signal("drag", [...start, ...at]).run();
        return;
      }
      const point = nearest(one, at);
      if (!point) return away(one);
      if (view.signal("hover") !== point) view.signal("hover", point).run();
      show(point, one, event);
    };
    svg.addEventListener("pointermove", move);
    svg.addEventListener("click", move); // a tap has no move before it
    svg.addEventListener("pointerleave", () => start || away(one));
    svg.addEventListener("pointerup", (event) => {
      if (!start) return;
      const [a, b] = start, [c, d] = place(one, svg, event);
      start = null;
      view.signal("drag", null).run();
      if (Math.abs(c - a) < 6 || Math.abs(d - b) < 6) return;
      const x = view.scale("x"), y = view.scale("y");
      zoom(one, [x.invert(Math.min(a, c)), x.invert(Math.max(a, c))],
        [y.invert(Math.max(b, d)), y.invert(Math.min(b, d))]);
    });
    svg.addEventListener("pointercancel", () => {
      start = null;
      view.signal("drag", null).run();
    });
    svg.addEventListener("dblclick", () => zoom(one, null, null));
  }

  // ---- legend -----------------------------------------------------------------------------------

  // The names of the lines that are not shown, of each set of charts that share a legend.
  const hidden = new Map();

  function button(text, label, act) {
    const made = document.createElement("button");
    made.type = "button";
    made.title = label;
    made.append(text);
    if (typeof text === "string") made.setAttribute("aria-label", label);
    made.addEventListener("click", act);
    return made;
  }

  function legend(set) {
    const off = new Set();
    hidden.set(set, off);
    const items = [...set.querySelectorAll(".legend li")];
    const names = items.map((item) => item.dataset.line);
    const update = () => {
      for (const item of items) {
        const shown = !off.has(item.dataset.line);
        item.classList.toggle("off", !shown);
        item.firstElementChild.setAttribute("aria-pressed", String(shown));
      }
      for (const one of drawn.values()) if (set.contains(one.plot)) hide(one);
    };
    // Alone, or all again where it is alone already.
    const alone = (name) => {
      const is = !off.has(name) && off.size === names.length - 1;
      off.clear();
      if (!is) names.filter((other) => other !== name).forEach((other) => off.add(other));
      update();
    };
    for (const item of items) {
      const name = item.dataset.line;
      const toggle = button("", `Show or hide ${name}`, () => {
        if (!off.delete(name)) off.add(name);
        update();
      });
      toggle.className = "line";
      toggle.removeAttribute("aria-label"); // its text is its name
      toggle.append(...item.childNodes);
      toggle.addEventListener("dblclick", () => alone(name));
      item.append(toggle);
      if (names.length > 2) {
        const only = button("only", `Show ${name} only, or all again`, () => alone(name));
        only.className = "only";
        item.append(only);
      }
    }
    update();
  }

  // ---- saving -----------------------------------------------------------------------------------

  // A file knows no colours of the page by name, and has the chart's title over it.
  async function picture({plot, chart, view}) {
    const page = getComputedStyle(plot);
    const text = (await view.toSVG()).replace(/var\((--\w+)\)/g,
      (_, name) => page.getPropertyValue(name).trim());
    const root = new DOMParser().parseFromString(text, "image/svg+xml").documentElement;
    const [, , width, below] = root.getAttribute("viewBox").split(" ").map(Number);
    const top = 24, height = below + top;
    const make = (tag, content, about) => {
      const made = document.createElementNS(root.namespaceURI, tag);
      for (const [key, value] of Object.entries(about)) made.setAttribute(key, value);
      made.textContent = content;
      return made;
    };
    const fill = (name) => page.getPropertyValue(name).trim();
    const about = {x: 12, y: -6, fill: fill("--ink"), "font-weight": 600};
    root.setAttribute("viewBox", `0 ${-top} ${width} ${height}`);
    root.setAttribute("height", height);
    root.prepend(
      make("title", plot.getAttribute("aria-label"), {}),
      make("rect", "", {y: -top, width, height, fill: fill("--panel")}),
      make("text", plot.closest("figure").querySelector("figcaption b").textContent,
        {...about, "font-family": "system-ui, sans-serif", "font-size": 13}),
    );
    return {text: new XMLSerializer().serializeToString(root), width, height, name: chart.name};
  }

  async function savePng(one) {
    const {text, width, height, name} = await picture(one);
    const image = new Image();
    image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`;
    await image.decode();
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [3 * width, 3 * height];
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    canvas.toBlob((blob) => common.save(`${name}.png`, "image/png", blob));
  }

  function rows({chart, names}) {
    const points = chart.spec.data[1].values.map(({s, x, y, lo, hi, n}) =>
      [names[s].name, names[s].thin ? "thin" : "thick", x, y, lo, hi, n]);
    return [["line", "kind", chart.x, "mean", "low", "high", "measurements"], ...points];
  }

  function tools(one) {
    const {view, chart} = one;
    const bar = document.createElement("div");
    bar.className = "tools";
    const half = (name) => {
      const scale = view.scale(name), range = name === "x" ? [0, view.width()] : [view.height(), 0];
      const at = (share) => scale.invert(range[0] + share * (range[1] - range[0]));
      return [at(0.25), at(0.75)];
    };
    bar.append(
      button("+", "Zoom in on the middle", () => zoom(one, half("x"), half("y"))),
      button("Reset", "Show all again", () => zoom(one, null, null)),
      button("SVG", "Save this chart as SVG", async () =>
        common.save(`${chart.name}.svg`, "image/svg+xml", (await picture(one)).text)),
      button("PNG", "Save this chart as PNG", () => savePng(one)),
      button("CSV", "Save the numbers of this chart as CSV", () =>
        common.saveCsv(chart.name, rows(one))),
    );
    return bar;
  }

  // ---- when -------------------------------------------------------------------------------------

  document.querySelectorAll(".chartset").forEach(legend);
  const seen = new IntersectionObserver((entries) => {
    const near = entries.filter((entry) => entry.isIntersecting).map((entry) => entry.target);
    if (!near.length) return;
    near.forEach((plot) => seen.unobserve(plot));
    load().then((charts) => near.forEach((plot) => draw(plot, charts)));
  }, {rootMargin: "400px"});
  plots.forEach((plot) => seen.observe(plot));
  const sized = new ResizeObserver((entries) => {
    for (const {target} of entries) if (drawn.has(target)) fit(drawn.get(target));
  });
  plots.forEach((plot) => sized.observe(plot));
  // Paper has all of them: the pictures where no chart came into view yet.
  const pictures = [];
  window.addEventListener("beforeprint", () => {
    for (const plot of plots) {
      if (drawn.has(plot)) continue;
      const picture = document.createElement("div");
      picture.innerHTML = plot.parentElement.querySelector("noscript").textContent;
      plot.before(picture);
      pictures.push(picture);
    }
  });
  window.addEventListener("afterprint", () => pictures.splice(0).forEach((one) => one.remove()));
})();
