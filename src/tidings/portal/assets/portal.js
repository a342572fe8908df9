// What pages do beyond what HTML does. Every page reads and every form works without it.
(() => {
  "use strict";
  const root = document.documentElement;
  root.classList.add("has-script");
  const closest = (event, selector) => (event.target instanceof Element ? event.target.closest(selector) : null);

  // Rows of links that are wider than a phone begin where one is ----------------------------------------------------------
  for (const row of document.querySelectorAll(".side, .sections, .pages")) {
    const here = row.querySelector("[aria-current]");
    if (here) row.scrollLeft = here.offsetLeft - row.offsetLeft - (row.clientWidth - here.offsetWidth) / 2;
  }

  // Toasts -----------------------------------------------------------------------------------------------------------------
  const MAX_TOASTS = 4;
  const icons = () => document.querySelector(".icon use").getAttribute("href").split("#")[0];
  function toast(text, tone) {
    const box = document.getElementById("toasts");
    const made = document.createElement("div");
    made.className = `toast tone-${tone}`;
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("class", "icon");
    svg.setAttribute("aria-hidden", "true");
    const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
    use.setAttribute("href", `${icons()}#${tone === "bad" ? "circle-alert" : tone === "good" ? "check" : "info"}`);
    svg.append(use);
    const said = document.createElement("p");
    said.textContent = text;
    made.append(svg, said);
    box.append(made);
    while (box.children.length > MAX_TOASTS) box.firstElementChild.remove();
    setTimeout(() => made.remove(), 6000);
  }

  // Copying ----------------------------------------------------------------------------------------------------------------
  async function copy(text) {
    if (navigator.clipboard && window.isSecureContext) return navigator.clipboard.writeText(text);
    const area = document.createElement("textarea"); // pages that came over plain HTTP have no clipboard of their own
    area.value = text;
    area.className = "visually-hidden";
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    if (!done) throw new Error("refused");
  }
  document.addEventListener("click", async (event) => {
    const button = closest(event, "[data-copy]");
    if (!button) return;
    try {
      await copy(button.dataset.copy);
      button.classList.add("is-done");
      setTimeout(() => button.classList.remove("is-done"), 1500);
      const said = button.querySelector(".visually-hidden");
      const before = said.textContent;
      said.textContent = "Copied"; // for those who do not see the sign
      setTimeout(() => (said.textContent = before), 1500);
    } catch {
      toast("The browser does not allow copying. Select the text instead.", "bad");
    }
  });

  // Dialogs, menus, toasts -----------------------------------------------------------------------------------------------------
  document.addEventListener("click", (event) => {
    const opener = closest(event, "[data-opens]");
    const dialog = opener && document.getElementById(opener.dataset.opens);
    if (dialog) {
      event.preventDefault();
      dialog.showModal();
    }
    const closer = closest(event, "[data-closes]");
    if (closer?.dataset.closes === "dialog") closer.closest("dialog")?.close();
    else closer?.closest(".toast")?.remove();
    for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      menu.open = false;
      menu.querySelector("summary").focus();
    }
  });

  // A link that takes the page's question along: filters change the address without loading the page.
  document.addEventListener("click", (event) => {
    const link = closest(event, "a[data-with-query]");
    if (link) link.search = location.search;
  }, true);

  // Look ---------------------------------------------------------------------------------------------------------------------
  document.addEventListener("submit", (event) => {
    const form = closest(event, "[data-theme-form]");
    if (!form || !event.submitter) return;
    event.preventDefault();
    const theme = event.submitter.value;
    root.dataset.theme = theme;
    for (const button of form.querySelectorAll("button")) button.setAttribute("aria-pressed", String(button.value === theme));
    form.closest("details").open = false;
    document.dispatchEvent(new Event("tidings:theme"));
    const data = new URLSearchParams(new FormData(form));
    data.set("theme", theme);
    fetch(form.action, { method: "POST", body: data, redirect: "manual" }).catch(() => toast("The look could not be kept.", "bad"));
  });

  // Tables ---------------------------------------------------------------------------------------------------------------------
  const rows = () => [...document.querySelectorAll("tr[data-row]")].filter((row) => row.offsetParent !== null);
  const here = () => document.activeElement?.closest?.("tr[data-row]") ?? null;
  const link = (row) => row.querySelector("a.row-link") ?? row.querySelector("a, button, input");
  function move(step) {
    const all = rows();
    if (!all.length) return;
    const now = all.indexOf(here());
    const next = all[now < 0 ? (step > 0 ? 0 : all.length - 1) : Math.min(all.length - 1, Math.max(0, now + step))];
    link(next)?.focus();
    next.scrollIntoView({ block: "nearest" });
  }
  function tell(table) {
    const boxes = [...table.querySelectorAll("tbody .select input")];
    const chosen = boxes.filter((box) => box.checked);
    const all = table.querySelector("[data-select-all]");
    if (all) {
      all.checked = boxes.length > 0 && chosen.length === boxes.length;
      all.indeterminate = chosen.length > 0 && chosen.length < boxes.length;
    }
    const form = boxes[0]?.form;
    if (form?.matches("[data-selection]")) {
      form.classList.toggle("is-some", chosen.length > 0);
      form.querySelector("[data-selected]").textContent = chosen.length;
    }
  }
  document.addEventListener("change", (event) => {
    const table = closest(event, "table.data");
    if (!table) return;
    if (event.target.matches("[data-select-all]"))
      for (const box of table.querySelectorAll("tbody .select input")) box.checked = event.target.checked;
    tell(table);
  });
  document.addEventListener("click", (event) => {
    const row = closest(event, "tr[data-row]");
    if (!row || closest(event, "a, button, input, label, summary, select") || String(getSelection())) return;
    const to = row.querySelector("a.row-link");
    if (!to) return;
    if (event.ctrlKey || event.metaKey) window.open(to.href, "_blank", "noopener");
    else to.click();
  });
  const actions = {
    j: () => move(1),
    k: () => move(-1),
    x: () => {
      const box = here()?.querySelector(".select input");
      box?.click();
      if (box) link(here() ?? box.closest("tr"))?.focus();
    },
    r: () => {
      const row = here();
      const box = row?.querySelector(".select input");
      const form = box?.form ?? document.querySelector("form[data-selection]");
      if (box && !form?.classList.contains("is-some")) box.click();
      form?.querySelector('[data-key="r"]')?.click();
    },
    "/": () => document.querySelector('[data-key="/"]')?.focus(),
    "?": () => document.getElementById("keys")?.showModal(),
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const target = event.target;
    const isBox = target instanceof HTMLInputElement && target.type === "checkbox";
    if (!isBox && target instanceof Element && target.closest("input, textarea, select, [contenteditable]")) return;
    const action = actions[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  });

  // Filters --------------------------------------------------------------------------------------------------------------------
  // The address is the question: what was left empty is no part of it, as without script after a chip is taken away.
  document.addEventListener("htmx:configRequest", (event) => {
    if (!(event.target instanceof Element && event.target.matches("form.filters"))) return;
    const data = event.detail.formData;
    for (const name of new Set(data.keys())) if (data.getAll(name).every((value) => value === "")) data.delete(name);
  });

  // A request that a newer one has overtaken is no error, though htmx would write two lines of the console about each.
  window.htmx.logger = (_, name, detail) => {
    if (name === "htmx:sendAbort" || (name === "htmx:afterRequest" && detail.xhr && detail.xhr.status === 0)) delete detail.error; // what failed is told by htmx:sendError
  };

  // What the server could not do ------------------------------------------------------------------------------------------------
  document.addEventListener("htmx:responseError", (event) => {
    const status = event.detail.xhr.status;
    if (!event.detail.xhr.getResponseHeader("HX-Redirect")) toast(status >= 500 ? "The server could not do it. Try again; its log has the cause." : "That was refused. Load the page again and repeat it.", "bad");
  });
  document.addEventListener("htmx:sendError", () => toast("The server cannot be reached. Nothing was changed.", "bad"));

  // Live -------------------------------------------------------------------------------------------------------------------------
  function say(event, name, text) {
    const box = event.target instanceof Element ? event.target.closest("[data-live]") : null;
    if (!box) return;
    box.classList.toggle("is-live", name === "live");
    box.classList.toggle("is-lost", name === "lost");
    box.querySelector("[data-live-said]").textContent = text;
  }
  document.addEventListener("htmx:sseOpen", (event) => say(event, "live", "live"));
  document.addEventListener("htmx:sseError", (event) => say(event, "lost", "lost, trying again"));
  document.addEventListener("htmx:sseClose", (event) => event.detail.type === "message" && say(event, "lost", "your session has ended"));
})();
