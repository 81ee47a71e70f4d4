// What the page's scripts have in common: how a table is written as CSV, and a file is offered.
"use strict";
const common = (() => {
  const quoted = (value) => {
    const text = String(value);
    return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };

  function save(name, type, content) {
    // Without the mark a spreadsheet takes UTF-8 for something else.
    const parts = type === "text/csv" ? ["\ufeff", content] : [content];
    const address = URL.createObjectURL(new Blob(parts, { type }));
    const link = Object.assign(document.createElement("a"), { href: address, download: name });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(address), 10000);
  }

  const csv = (rows) => rows.map((row) => row.map(quoted).join(",")).join("\n") + "\n";
  return { save, saveCsv: (name, rows) => save(`${name}.csv`, "text/csv", csv(rows)) };
})();
