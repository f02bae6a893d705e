// Draws the lines and cells of a page's pictures again, at the reader's size, with uPlot: to point at, to zoom, and to take apart.
// The page is complete without it. It reads numbers from the pictures, loads nothing, and writes text only, never HTML.
"use strict";
(() => {
  const GREY = "#6B6B6B", INK = "#222222", PALE = "#DDDDDD";
  const DASHES = { "-": [], "--": [9, 5], "-.": [9, 4, 2, 4], ":": [2, 3] };
  const HINT = "Point at the picture, or use the arrow keys in it, to read values. Drag across it, or press + and -, to zoom.";
  const digits = (value, most = 3) => Number(value.toPrecision(most)).toLocaleString("en", { maximumFractionDigits: 12 });
  const percent = (share) => {
    const most = share > 0.99 && share < 1 ? Math.min(6, 3 - Math.floor(Math.log10(1 - share))) : 3;
    return `${digits(share * 100, most)}%`;
  };
  const SAID = {
    duration: (s) => (s >= 0.9995 ? `${digits(s)} s` : s >= 0.0009995 || !s ? `${digits(s * 1e3)} ms` : `${digits(s * 1e6)} µs`),
    seconds: (s) => `${digits(s, 5)} s`,
    share: percent,
    percentile: (place) => percent(1 - 1 / place),
    number: (value) => digits(value, 6),
  };

  const make = (tag, attributes, ...children) => {
    const made = Object.assign(document.createElement(tag), attributes);
    made.append(...children);
    return made;
  };

  // The index of the last value that is not above the wanted one; -1 if all are above.
  const lastBelow = (values, wanted) => {
    let low = 0, high = values.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (values[middle] <= wanted) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  };

  // What a line shows at a place: the nearest of its points, or for steps the last one.
  const valueAt = ({ x, y, steps }, place) => {
    if (place < x[0] || place > x.at(-1)) return null;
    const before = lastBelow(x, place);
    const isNext = !steps && before + 1 < x.length && x[before + 1] - place < place - x[before];
    return y[before + isNext];
  };

  const told = (panel, faults, shown, place, height) => {
    const sayX = SAID[panel.x.unit], sayY = SAID[panel.y.unit];
    const on = faults.filter(([, spans]) => lastBelow(spans, place) % 2 === 0).map(([name]) => name);
    const during = on.length ? `, during ${on.join(" and ")}` : "";
    if (panel.cells) {
      const { x, y, filled, what } = panel.cells;
      const column = lastBelow(x, place), row = lastBelow(y, height);
      if (!(column in x) || !(row in y) || column + 1 >= x.length || row + 1 >= y.length) return "";
      const count = filled.find(([c, r]) => c === column && r === row)?.[2] ?? 0;
      const where = `${sayX(x[column])} to ${sayX(x[column + 1])}, ${sayY(y[row])} to ${sayY(y[row + 1])}`;
      return `${where}${during}: ${count.toLocaleString("en")} ${what.replace(" in a cell", "")}`;
    }
    const values = panel.series.filter(({ name }) => shown(name)).map((one) => [one.name, valueAt(one, place)]);
    const known = values.filter(([, value]) => value !== null && value !== undefined);
    return `${sayX(place)}${during}: ${known.map(([name, value]) => `${name} ${sayY(value)}`).join("; ") || "nothing"}`;
  };

  const hatch = (ctx, { left, top, width, height }, from, to) => {
    const [begins, ends] = [Math.max(from, left), Math.min(to, left + width)];
    if (begins >= ends) return;
    ctx.save();
    ctx.beginPath();
    ctx.rect(begins, top, ends - begins, height);
    ctx.clip();
    ctx.fillStyle = "rgba(107, 107, 107, 0.1)";
    ctx.fillRect(begins, top, ends - begins, height);
    ctx.strokeStyle = "rgba(107, 107, 107, 0.35)";
    ctx.lineWidth = devicePixelRatio;
    ctx.beginPath();
    for (let x = begins - (begins % 10) - height; x < ends; x += 10 * devicePixelRatio) {
      ctx.moveTo(x, top + height);
      ctx.lineTo(x + height, top);
    }
    ctx.stroke();
    ctx.restore();
  };

  const drawUnder = (plot, panel, faults) => {
    const { ctx } = plot, { left, top, width, height } = plot.bbox;
    ctx.save();
    ctx.beginPath();
    ctx.rect(left, top, width, height);
    ctx.clip();
    const place = (value, axis) => plot.valToPos(value, axis, true);
    if (panel.cells) {
      const { x, y, filled, colours } = panel.cells;
      const most = Math.log(Math.max(10, ...filled.map((cell) => cell[2])));
      for (const [column, row, count] of filled) {
        ctx.fillStyle = colours[Math.round((Math.log(count) / most) * (colours.length - 1))];
        const [x0, x1, y0, y1] = [place(x[column], "x"), place(x[column + 1], "x"), place(y[row + 1], "y"), place(y[row], "y")];
        ctx.fillRect(x0, y0, x1 - x0, y1 - y0);
      }
    }
    ctx.restore();
    for (const [, spans] of faults) {
      for (let i = 0; i < spans.length; i += 2) {
        const begins = place(spans[i], "x");
        hatch(ctx, plot.bbox, begins, Math.max(place(spans[i + 1], "x"), begins + 2));
      }
    }
  };

  const write = (ctx, words, x, y, side, colour) => {
    ctx.font = `600 ${12 * devicePixelRatio}px system-ui, sans-serif`;
    ctx.textAlign = side;
    ctx.setLineDash([]);
    ctx.lineWidth = 4 * devicePixelRatio;
    ctx.strokeStyle = "#fff";
    ctx.fillStyle = colour;
    ctx.strokeText(words, x, y);
    ctx.fillText(words, x, y);
  };

  const drawOver = (plot, panel, faults) => {
    const { ctx } = plot, { left, top, width, height } = plot.bbox, ratio = devicePixelRatio;
    ctx.save();
    ctx.beginPath();
    ctx.rect(left, top, width, height);
    ctx.clip();
    faults.forEach(([name, [begins, ends]], at) => {
      const [from, to] = [begins, ends].map((time) => plot.valToPos(time, "x", true));
      if (to >= left) write(ctx, name, Math.max(from, left) + 4 * ratio, top + (14 + 15 * at) * ratio, "left", INK);
    });
    for (const { name, colour, along, at } of panel.rules) {
      const isFlat = along === "x", place = Math.round(plot.valToPos(at, isFlat ? "y" : "x", true));
      const [from, to] = isFlat ? [top, top + height] : [left, left + width];
      if (place < from || place > to) continue;
      ctx.setLineDash([8 * ratio, 3 * ratio]);
      ctx.lineWidth = 1.8 * ratio;
      ctx.strokeStyle = colour;
      ctx.beginPath();
      ctx.moveTo(...(isFlat ? [left, place] : [place, top]));
      ctx.lineTo(...(isFlat ? [left + width, place] : [place, top + height]));
      ctx.stroke();
      const words = `${name}: ${SAID[panel[isFlat ? "y" : "x"].unit](at)}`, isLate = !isFlat && place > left + width * 0.6;
      const [x, y] = isFlat
        ? [left + width - 4 * ratio, place - 6 * ratio]
        : [place + (isLate ? -6 : 6) * ratio, top + height - 8 * ratio];
      write(ctx, words, x, y, isFlat || isLate ? "right" : "left", colour);
    }
    ctx.restore();
  };

  // Round places on a logarithmic axis, as many as there is room for.
  const roundPlaces = (least, most, room) => {
    for (const parts of [[1, 2, 3, 5, 7], [1, 2, 5], [1, 3], [1]]) {
      const places = [];
      for (let power = Math.floor(Math.log10(least)); power <= Math.ceil(Math.log10(most)); power++) {
        places.push(...parts.map((part) => part * 10 ** power).filter((place) => place >= least && place <= most));
      }
      if (places.length <= room) return places;
    }
    return [];
  };
  // The shares that people speak of: from one of 2 to one of 100,000 that takes longer.
  const SHARES = [2, 4, 10, 20, 100, 1000, 1e4, 1e5];
  const placesOf = ({ unit, log }, side) => !log ? undefined : (plot, _, least, most) =>
    unit === "percentile"
      ? SHARES.filter((place) => place >= least && place <= most)
      : roundPlaces(least, most, side === "y" ? plot.height / 30 : plot.width / 75);

  const axisOf = (axis, side) => ({
    label: axis.label || undefined,
    splits: placesOf(axis, side),
    filter: (_, splits) => splits,
    stroke: INK,
    grid: { stroke: PALE, width: 1 },
    ticks: { stroke: GREY, width: 1, size: 4 },
    font: "13px system-ui, sans-serif",
    labelFont: "13px system-ui, sans-serif",
    size: side === "y" ? 66 : 36,
    space: side === "y" ? 30 : 60,
    values: (_, splits) => splits.map((value) => (value === null ? "" : SAID[axis.unit](value))),
  });

  const optionsOf = (panel, isFirst, faults, box, whenPointed, whenZoomed) => ({
    width: box.clientWidth,
    height: panel.height,
    legend: { show: false },
    padding: [12, 14, null, null],
    cursor: { drag: { x: true, y: false, setScale: true }, points: { show: !panel.cells }, sync: { key: box.dataset.group, setSeries: false } },
    scales: {
      x: { time: false, distr: panel.x.log ? 3 : 1, range: (_, least, most) => [least, most] },
      y: { distr: panel.y.log ? 3 : 1, range: panel.y.limits },
    },
    axes: [axisOf(panel.x, "x"), axisOf(panel.y, "y")],
    series: [{}, ...panel.series.map(({ name, colour, line, steps }) => ({
      label: name,
      stroke: colour,
      width: 2,
      dash: DASHES[line],
      spanGaps: true,
      points: { show: false },
      paths: steps ? uPlot.paths.stepped({ align: 1 }) : undefined,
    })), { show: false }],
    hooks: {
      drawClear: [(plot) => drawUnder(plot, panel, faults)],
      draw: [(plot) => drawOver(plot, panel, isFirst ? faults : [])],
      setCursor: [whenPointed],
      setScale: [(plot, key) => key === "x" && whenZoomed(plot)],
    },
  });

  // Every line has places of its own; the last column keeps the limits of the axis.
  const tableOf = ({ series, x }) => uPlot.join([...series.map((one) => [one.x, one.y]), [x.limits, [null, null]]]);

  const isAxis = ({ limits: [least, most], log }) => Number.isFinite(most - least) && least < most && (!log || least > 0);

  const makeLive = (figure, number) => {
    const { panels, faults } = JSON.parse(figure.dataset.live);
    if (!panels.every(({ x, y }) => isAxis(x) && isAxis(y))) throw new RangeError("an axis without an extent");
    const hidden = new Set(), plots = [];
    const box = make("div", { className: "live-box", tabIndex: 0 });
    const readout = make("p", { className: "readout", textContent: HINT });
    const whole = make("button", { type: "button", textContent: "Show all of it", hidden: true });
    const bar = make("div", { className: "toggles" });
    const live = make("div", { className: "live" }, bar, box, readout);
    box.dataset.group = number; // plots of one picture show the pointer at the same place
    box.setAttribute("role", "img");
    box.setAttribute("aria-label", figure.querySelector("img").alt);
    readout.setAttribute("role", "status");

    const limits = panels[0].x.limits;
    let isFollowing = false;
    const zoom = (least, most) => plots.forEach((plot) => plot.setScale("x", { min: least, max: most }));
    const whenZoomed = (plot) => {
      const { min, max } = plot.scales.x;
      if (isFollowing || min === undefined || min === null) return;
      isFollowing = true;
      for (const other of plots) if (other !== plot) other.setScale("x", { min, max });
      isFollowing = false;
      whole.hidden = min <= limits[0] && max >= limits[1];
    };
    const whenPointed = (plot) => {
      const { left, top } = plot.cursor;
      if (left < 0 || left === null || left === undefined) return;
      const place = plot.posToVal(left, "x");
      readout.textContent = panels.map((panel, at) =>
        told(panel, at ? [] : faults, (name) => !hidden.has(name), place, plot.posToVal(top, "y"))).join(" — ");
    };

    for (const name of new Set(panels.flatMap(({ series }) => series.map((one) => one.name)))) {
      const { colour, line } = panels.flatMap(({ series }) => series).find((one) => one.name === name);
      const swatch = make("span", { className: "swatch" });
      swatch.style.borderTop = `3px ${line === "-" ? "solid" : line === ":" ? "dotted" : "dashed"} ${colour}`;
      const toggle = make("button", { type: "button" }, swatch, name);
      toggle.setAttribute("aria-pressed", "true");
      toggle.addEventListener("click", () => {
        if (!hidden.delete(name)) hidden.add(name);
        toggle.setAttribute("aria-pressed", String(!hidden.has(name)));
        plots.forEach((plot) => plot.series.forEach((one, at) => one.label === name && plot.setSeries(at, { show: !hidden.has(name) })));
      });
      bar.append(toggle);
    }
    if (bar.children.length < 2) bar.replaceChildren();
    for (const { cells } of panels.filter((panel) => panel.cells)) {
      const scale = make("span", { className: "swatch scale" });
      scale.style.background = `linear-gradient(to right, ${cells.colours.join(", ")})`;
      const most = Math.max(10, ...cells.filled.map((cell) => cell[2])).toLocaleString("en");
      bar.append(make("span", { className: "quiet" }, "1 ", scale, `${most} ${cells.what}`));
    }
    bar.append(whole);
    whole.addEventListener("click", () => { zoom(...limits); box.focus(); });

    figure.querySelector(".drawing").after(live);
    figure.classList.add("is-live");
    for (const panel of panels) {
      panel.height = panels.length > 1 ? 220 : 380;
      plots.push(new uPlot(optionsOf(panel, panel === panels[0], faults, box, whenPointed, whenZoomed), tableOf(panel), box));
    }
    box.addEventListener("keydown", (event) => {
      const [plot] = plots, step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      const width = plot.over.clientWidth, at = plot.cursor.left >= 0 ? plot.cursor.left : width / 2;
      if (step) plot.setCursor({ left: Math.min(Math.max(at + step * width / 60, 0), width), top: Math.max(plot.cursor.top, 1) });
      else if (event.key === "+" || event.key === "-") {
        const reach = event.key === "+" ? width / 4 : width;
        const ends = [at - reach, at + reach].map((pixel) => plot.posToVal(pixel, "x"));
        zoom(Math.max(ends[0], limits[0]), Math.min(ends[1], limits[1]));
      } else if (event.key === "Escape") zoom(...limits);
      else return;
      event.preventDefault();
    });
    new ResizeObserver(() => plots.forEach((plot) => {
      if (box.clientWidth && plot.width !== box.clientWidth) plot.setSize({ width: box.clientWidth, height: plot.height });
    })).observe(box);
  };

  document.querySelectorAll("figure[data-live]").forEach((figure, number) => {
    try {
      makeLive(figure, number);
    } catch (error) { // a foreign notebook may hold anything: its picture stays as it is
      figure.classList.remove("is-live");
      figure.querySelector(".live")?.remove();
    }
  });
})();
