// Draws the charts of a page from their tables, with uPlot.
(() => {
  "use strict";
  const drawn = new Map();
  const colour = (tone, kind, element) => {
    const probe = document.createElement("i");
    probe.className = `tone-${tone}`;
    element.append(probe);
    const found = getComputedStyle(probe).getPropertyValue(kind);
    probe.remove();
    // A custom property keeps light-dark() as it is written; a canvas needs what it comes to.
    const swatch = document.createElement("i");
    swatch.style.color = found;
    element.append(swatch);
    const come = getComputedStyle(swatch).color;
    swatch.remove();
    return come;
  };
  function read(figure) {
    const heads = [...figure.querySelectorAll("thead th")].slice(1);
    const rows = [...figure.querySelectorAll("tbody tr")];
    const times = rows.map((row) => Number(row.dataset.at));
    const columns = heads.map((_, index) => rows.map((row) => (row.cells[index + 1].textContent === "" ? null : Number(row.cells[index + 1].textContent))));
    return { heads, times, columns };
  }
  // 24 hours, and the day where one begins.
  const said = (_, ticks) =>
    ticks.map((at, index) => {
      const iso = new Date(at * 1000).toISOString();
      const day = iso.slice(5, 10);
      const isNewDay = index === 0 || new Date(ticks[index - 1] * 1000).toISOString().slice(5, 10) !== day;
      const time = iso.slice(11, 16);
      return ticks.length > 1 && ticks[1] - ticks[0] >= 86400 ? day : isNewDay ? `${time}\n${day}` : time;
    });
  function draw(figure) {
    const box = figure.querySelector(".chart-drawing");
    const { heads, times, columns } = read(figure);
    drawn.get(figure)?.destroy();
    if (!times.length || typeof uPlot === "undefined") return;
    const isStacked = "stacked" in figure.dataset;
    const sums = times.map(() => 0);
    const data = columns.map((column) => (isStacked ? column.map((value, index) => (sums[index] += value ?? 0)) : column));
    const style = getComputedStyle(figure);
    const ink = colour("quiet", "--tone", figure);
    const probe = document.createElement("i");
    probe.style.color = "var(--line)";
    figure.append(probe);
    const line = getComputedStyle(probe).color;
    probe.remove();
    const axis = { stroke: ink, font: `12px ${style.fontFamily}`, grid: { stroke: line, width: 1 }, ticks: { show: false } };
    const series = heads.map((head) => ({
      label: head.textContent,
      stroke: colour(head.dataset.tone, "--tone", figure),
      fill: isStacked ? colour(head.dataset.tone, "--wash", figure) : undefined,
      width: 1.5,
      points: { show: false },
    }));
    // The highest of a stack is drawn first, so that those below it are seen.
    const order = heads.map((_, index) => (isStacked ? heads.length - 1 - index : index));
    drawn.set(
      figure,
      new uPlot(
        {
          width: box.clientWidth,
          height: box.clientHeight,
          legend: { show: false },
          cursor: { points: { size: 6 }, drag: { x: false, y: false } },
          padding: [8, 20, 0, 0],
          tzDate: (at) => uPlot.tzDate(new Date(at * 1000), "Etc/UTC"), // as the table says
          axes: [{ ...axis, grid: { show: false }, space: 80, values: said }, { ...axis, size: 48, space: 40 }],
          scales: { y: { range: (_, low, high) => [Math.min(0, low ?? 0), (high || 1) * 1.08] } },
          series: [{}, ...order.map((index) => series[index])],
        },
        [times, ...order.map((index) => data[index])],
        box,
      ),
    );
  }
  const every = () => document.querySelectorAll("figure[data-chart]").forEach(draw);
  const sizes = new ResizeObserver((entries) => {
    for (const { target } of entries) drawn.get(target.closest("figure"))?.setSize({ width: target.clientWidth, height: target.clientHeight });
  });
  document.addEventListener("DOMContentLoaded", () => {
    every();
    document.querySelectorAll(".chart-drawing").forEach((box) => sizes.observe(box));
  });
  document.addEventListener("tidings:theme", every);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", every);
  document.addEventListener("htmx:afterSettle", every);
})();
