"use strict";
// Records: packed in the page by cell; a link `#record/CELL/SCORE` opens them.
(() => {
  const packed = JSON.parse(document.getElementById("records").textContent);
  const dialog = document.getElementById("record");
  const [title, tabs, path, score, text] = ["title", "tabs", "path", "score", "text"].map((name) =>
    document.getElementById(`record-${name}`)
  );
  let opener = null;
  let current = null;

  const unpack = async (base64) => {
    const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return JSON.parse(await new Response(stream).text());
  };

  const save = (name, url) => {
    const link = document.createElement("a");
    link.href = url;
    link.download = name;
    link.click();
  };

  const show = (files, name, wanted) => {
    current = { name, content: JSON.stringify(files[name], null, 1) };
    path.textContent = name;
    text.textContent = current.content;
    text.scrollTop = 0;
    for (const tab of tabs.children) tab.setAttribute("aria-pressed", String(tab.dataset.name === name));
    score.replaceChildren();
    const found = wanted && files[name].scores ? files[name].scores[wanted] : null;
    if (!found) return;
    for (const [what, value] of Object.entries(found)) {
      if (Array.isArray(value) && !value.length) continue;
      const term = document.createElement("dt");
      const said = document.createElement("dd");
      term.textContent = what === "value" ? wanted : what;
      const short = (v) => (typeof v === "number" ? v.toPrecision(4) : String(v));
      said.textContent = Array.isArray(value) ? value.map(short).join(", ") : String(value);
      score.append(term, said);
    }
  };

  const open = async () => {
    const [kind, cell, wanted] = location.hash.slice(1).split("/").map(decodeURIComponent);
    if (kind !== "record") return;
    if (!(cell in packed)) return;
    opener = document.activeElement;
    let files;
    try {
      files = await unpack(packed[cell]);
    } catch (error) {
      files = { [`records of ${cell}`]: { problem: `this browser cannot unpack them: ${error.message}` } };
    }
    const names = Object.keys(files);
    title.textContent = cell;
    tabs.replaceChildren(
      ...names.map((name) => {
        const tab = document.createElement("button");
        tab.type = "button";
        tab.dataset.name = name;
        const base = name.split("/").pop();
        tab.textContent = name.startsWith("costs/") ? "cost" : base.replace(".error.json", ": failed").replace(".json", "").replace("seed", "seed ");
        tab.addEventListener("click", () => show(files, name, wanted));
        return tab;
      })
    );
    const first = wanted === "cost" ? names.find((name) => name.startsWith("costs/")) : null;
    show(files, first ?? names[0], wanted);
    if (!dialog.open) dialog.showModal();
  };

  dialog.addEventListener("close", () => {
    history.replaceState(null, "", location.pathname + location.search);
    if (opener) opener.focus({ preventScroll: true });
  });
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  document.getElementById("close").addEventListener("click", () => dialog.close());
  document.getElementById("record-save").addEventListener("click", () => {
    const url = URL.createObjectURL(new Blob([current.content], { type: "application/json" }));
    save(current.name.replaceAll("/", "-"), url);
    URL.revokeObjectURL(url);
  });
  for (const button of document.querySelectorAll(".save"))
    button.addEventListener("click", () => save(button.dataset.name, button.closest("figure").querySelector("img").src));
  window.addEventListener("hashchange", open);
  open();
})();
