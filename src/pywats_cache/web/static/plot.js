// A line with marks, and stacked bars, as SVG. Colours come from the style sheet.
"use strict";

const Plot = (() => {
  const NS = "http://www.w3.org/2000/svg";
  const WIDTH = 600, HEIGHT = 176, LEFT = 44, RIGHT = 8, TOP = 8, BOTTOM = 20;

  function element(name, attributes, text) {
    const made = document.createElementNS(NS, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    return made;
  }

  // A frame with a grid of `labels` (bottom to top), and the times at both ends.
  function frame(into, from, to, labels) {
    const svg = element("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" });
    labels.forEach((label, n) => {
      const y = HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * n / (labels.length - 1);
      svg.append(element("line", { class: "axis", x1: LEFT, x2: WIDTH - RIGHT, y1: y, y2: y }));
      svg.append(element("text", { x: LEFT - 6, y: y + 4, "text-anchor": "end" }, label));
    });
    const clock = time => new Date(time * 1000).toLocaleTimeString();
    svg.append(element("text", { x: LEFT, y: HEIGHT - 5 }, clock(from)));
    svg.append(element("text", { x: WIDTH - RIGHT, y: HEIGHT - 5, "text-anchor": "end" }, clock(to)));
    into.replaceChildren(svg);
    const span = Math.max(to - from, 1e-9);
    return {
      svg,
      x: time => LEFT + (WIDTH - LEFT - RIGHT) * (time - from) / span,
      y: part => HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * part,
    };
  }

  // `points`: [time, value from 0 to 1, or null for none]; `marks`: times.
  function line(into, points, marks) {
    const { svg, x, y } = frame(into, points[0][0], points[points.length - 1][0], ["0 %", "50 %", "100 %"]);
    for (const time of marks) {
      if (time < points[0][0]) continue;
      svg.append(element("line", { class: "mark", x1: x(time), x2: x(time), y1: y(0), y2: y(1) }));
    }
    let path = "", pen = "M";
    for (const [time, value] of points) {
      if (value === null) { pen = "M"; continue; }
      path += `${pen}${x(time).toFixed(1)} ${y(value).toFixed(1)}`;
      pen = "L";
    }
    svg.append(element("path", { class: "curve", d: path }));
  }

  // `bars`: [time, {name: number}], stacked in the order of `names`.
  function stack(into, bars, names) {
    const most = Math.max(1, ...bars.map(([, parts]) => names.reduce((sum, name) => sum + (parts[name] || 0), 0)));
    const { svg, x, y } = frame(into, bars[0][0], bars[bars.length - 1][0], ["0", String(Math.round(most / 2)), String(most)]);
    const width = Math.max(2, (WIDTH - LEFT - RIGHT) / Math.max(bars.length, 30) - 1);
    for (const [time, parts] of bars) {
      let below = 0;
      for (const name of names) {
        const part = (parts[name] || 0) / most;
        if (!part) continue;
        const left = Math.min(Math.max(x(time) - width / 2, LEFT), WIDTH - RIGHT - width);
        svg.append(element("rect", {
          x: left, width, y: y(below + part), height: y(below) - y(below + part), fill: `var(--${name})`,
        }));
        below += part;
      }
    }
  }

  // A small square for a legend.
  function swatch(name) {
    const svg = element("svg", { viewBox: "0 0 10 10", "aria-hidden": "true" });
    svg.append(element("rect", { width: 10, height: 10, fill: `var(--${name})` }));
    return svg;
  }

  return { line, stack, swatch };
})();
