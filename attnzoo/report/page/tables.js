"use strict";
// Tables: sorted by their headings, filtered by one box, columns shown or not.
(() => {
  const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

  const key = (row, column) => {
    const cell = row.cells[column];
    if (!cell) return null;
    if ("sort" in cell.dataset) return Number(cell.dataset.sort);
    // A number that is not there has no place in an order; a text has.
    return cell.querySelector(".value") ? null : cell.textContent.trim();
  };

  const compare = (a, b) =>
    typeof a === "number" && typeof b === "number" ? a - b : collator.compare(String(a), String(b));

  const sort = (table, heading) => {
    const body = table.tBodies[0];
    body.original ??= [...body.rows];
    const next = { ascending: "descending", descending: "none" }[heading.ariaSort] ?? "ascending";
    for (const other of heading.parentElement.cells) other.removeAttribute("aria-sort");
    let rows = [...body.original];
    if (next !== "none") {
      heading.setAttribute("aria-sort", next);
      const keyed = rows.map((row) => [key(row, heading.cellIndex), row]);
      const sign = next === "ascending" ? 1 : -1;
      // What has no value stays last either way.
      keyed.sort(([a], [b]) => (a === null) - (b === null) || (a === null ? 0 : sign * compare(a, b)));
      rows = keyed.map(([, row]) => row);
    }
    body.append(...rows);
  };

  for (const table of document.querySelectorAll("table.sortable"))
    for (const button of table.querySelectorAll("thead button"))
      button.addEventListener("click", () => sort(table, button.closest("th")));

  for (const box of document.querySelectorAll("[data-section]"))
    box.addEventListener("change", () => {
      box.closest(".table").classList.toggle(`hide-s${box.dataset.section}`, !box.checked);
    });

  const filter = document.getElementById("filter");
  if (!filter) return;
  const rows = [...document.querySelectorAll("#tables .table tbody tr")];
  const texts = rows.map((row) => {
    const group = row.querySelector("td.group");
    return `${row.cells[0].textContent} ${group ? group.textContent : ""}`.toLowerCase();
  });
  filter.addEventListener("input", () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    rows.forEach((row, i) => {
      row.hidden = !words.every((word) => texts[i].includes(word));
      shown += !row.hidden;
    });
    document.getElementById("filtered").textContent = words.length ? `${shown} of ${rows.length} rows` : "";
  });

  for (const box of document.querySelectorAll("[data-shows]")) {
    const apply = () => document.getElementById("tables").classList.toggle(`hide-${box.dataset.shows}`, !box.checked);
    box.addEventListener("change", apply);
    apply();
  }
})();
