"use strict";
// Steps through recorded sequences: every panel shows the whole sequence as strips or lines, one
// cursor crosses them all, and beside each strip stands its value at the step. The data is JSON
// made by lstm_jax/report/player.py; nothing is fetched, and texts are set as text, never as HTML.
(() => {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  const STRIP = 18, CHART = 92, AXIS = 22; // heights in CSS pixels

  for (const root of document.querySelectorAll(".player")) start(root);

  function start(root) {
    const { sequences } = JSON.parse(root.querySelector("script").textContent);
    const part = (name) => root.querySelector("." + name);
    const slider = part("slider"), play = part("play"), speed = part("speed"), pick = part("pick");
    const stage = part("stage"), cursor = part("cursor"), clock = part("clock"), said = part("said");
    let sequence, t = 0, timer = 0, panels = [];

    pick.append(...sequences.map((one, i) => new Option(one.title, String(i))));
    pick.parentElement.hidden = sequences.length < 2;
    pick.onchange = () => { pause(); show(sequences[pick.selectedIndex]); };
    slider.oninput = () => { pause(); go(Number(slider.value)); };
    play.onclick = () => (timer ? pause() : run());
    speed.onchange = () => { if (timer) { pause(); run(); } };
    for (const [name, step] of Object.entries(
      { first: () => 0, back: () => t - 1, next: () => t + 1, last: () => sequence.length - 1 }
    )) part(name).onclick = () => { pause(); go(step()); };
    root.onkeydown = onKey;
    new ResizeObserver(draw).observe(stage);
    dark.addEventListener("change", draw);
    if (calm.matches) speed.value = "2";
    show(sequences[0]);

    function onKey(event) {
      if (event.ctrlKey || event.altKey || event.metaKey || event.target.tagName === "SELECT") return;
      const steps = {
        ArrowLeft: t - 1, ArrowRight: t + 1, PageUp: t - 10, PageDown: t + 10,
        Home: 0, End: sequence.length - 1,
      };
      if (event.key === " ") {
        if (event.target.tagName === "BUTTON") return; // the button is pressed by itself
        timer ? pause() : run();
      } else if (event.key in steps) {
        pause();
        go(steps[event.key]);
      } else return;
      event.preventDefault();
    }

    function run() {
      if (t === sequence.length - 1) go(0);
      timer = setInterval(() => {
        go(t + 1);
        if (t === sequence.length - 1) pause();
      }, 1000 / Number(speed.value));
      label(true);
    }

    function pause() {
      clearInterval(timer);
      timer = 0;
      label(false);
      tell();
    }

    function label(playing) {
      root.dataset.playing = String(playing);
      play.textContent = playing ? "❚❚" : "▶";
      play.setAttribute("aria-label", playing ? "Pause" : "Play");
    }

    function show(next) {
      sequence = next;
      slider.max = String(sequence.length - 1);
      part("note").textContent = sequence.note;
      const track = make("div", "track"); // as wide as the plots: the cursor's place is a share of it
      track.append(cursor);
      stage.replaceChildren(...sequence.panels.map(panelOf), axisOf(), track);
      panels = [...stage.querySelectorAll(".panel")];
      draw();
      go(Math.min(t, sequence.length - 1));
    }

    function go(step) {
      t = Math.max(0, Math.min(sequence.length - 1, step));
      root.dataset.t = slider.value = String(t);
      const marked = sequence.marks.includes(t);
      clock.textContent = `t = ${t} of ${sequence.length - 1}${marked ? ", marked" : ""}`;
      clock.classList.toggle("marked", marked);
      slider.setAttribute("aria-valuetext", clock.textContent);
      cursor.style.left = `${((t + 0.5) / sequence.length) * 100}%`;
      sequence.panels.forEach((panel, i) => {
        panels[i].querySelectorAll(".value").forEach((value, unit) => {
          value.textContent = number(panel.values[unit][t]);
        });
      });
      if (!timer) tell();
    }

    function tell() { // for a screen reader, when it stands still
      if (!sequence) return;
      const parts = sequence.panels.map((panel) =>
        `${panel.name}: ${panel.values.map((row) => number(row[t])).join(", ")}`);
      said.textContent = `Time ${t}. ${parts.join(". ")}.`;
    }

    function panelOf(panel) {
      const box = make("div", "panel");
      const head = make("div", "head");
      head.append(make("span", "title", panel.name), make("span", "scale", scaleOf(panel)));
      const canvas = make("canvas", "plot");
      canvas.setAttribute("role", "img");
      canvas.setAttribute("aria-label", `${panel.name}, ${panel.values.length} over time`);
      canvas.onpointerdown = canvas.onpointermove = (event) => {
        if (event.type === "pointermove" && !event.buttons) return;
        pause();
        go(Math.floor((event.offsetX / canvas.clientWidth) * sequence.length));
      };
      const side = make("div", panel.lines ? "side lines" : "side");
      panel.values.forEach((_, unit) => {
        const row = make("div", "row");
        const swatch = make("span", "swatch");
        if (panel.lines) swatch.style.setProperty("--own", `var(--line-${unit % 6})`);
        row.append(swatch, make("span", "unit", panel.units[unit]), make("span", "value"));
        side.append(row);
      });
      box.append(head, canvas, side);
      if (panel.left) box.append(make("div", "left", `${panel.left} more are not shown`));
      return box;
    }

    function axisOf() {
      const box = make("div", "axis");
      const canvas = make("canvas", "plot");
      canvas.setAttribute("aria-hidden", "true");
      box.append(canvas);
      return box;
    }

    function draw() {
      if (!sequence) return;
      const style = getComputedStyle(root);
      const color = (name) => style.getPropertyValue(name).trim();
      sequence.panels.forEach((panel, i) => {
        const canvas = panels[i].querySelector("canvas");
        const height = panel.lines ? Math.max(CHART, STRIP * panel.values.length)
          : STRIP * panel.values.length;
        const pen = penOf(canvas, height);
        (panel.lines ? drawLines : drawStrips)(pen, canvas.clientWidth, height, panel, color);
        drawMarks(pen, canvas.clientWidth, height, color);
      });
      drawAxis(stage.querySelector(".axis canvas"), color);
    }

    function drawStrips(pen, width, height, panel, color) {
      const [zero, high, low] = ["--strip", "--high", "--low"].map((name) => rgb(color(name)));
      const columns = Math.max(1, Math.min(sequence.length, Math.floor(width)));
      panel.values.forEach((row, unit) => {
        for (let column = 0; column < columns; column++) {
          const from = Math.floor((column / columns) * sequence.length);
          const to = Math.max(from + 1, Math.floor(((column + 1) / columns) * sequence.length));
          const value = strongest(row, from, to) ?? 0;
          const share = value < 0 ? value / panel.low : value / panel.high;
          pen.fillStyle = mix(zero, value < 0 ? low : high, Math.min(1, Math.abs(share) || 0));
          const left = (column / columns) * width;
          pen.fillRect(left, unit * STRIP, width / columns + 0.5, STRIP - 2);
        }
      });
    }

    function drawLines(pen, width, height, panel, color) {
      const y = (value) => 5 + (height - 10) * (1 - (value - panel.low) / (panel.high - panel.low));
      const x = (step) => ((step + 0.5) / sequence.length) * width;
      pen.fillStyle = color("--strip");
      pen.fillRect(0, 0, width, height);
      if (panel.low < 0 && panel.high > 0) {
        pen.fillStyle = color("--rule");
        pen.fillRect(0, y(0), width, 1);
      }
      panel.values.forEach((row, unit) => {
        pen.strokeStyle = pen.fillStyle = color(`--line-${unit % 6}`);
        pen.lineWidth = 1.75;
        pen.setLineDash(panel.dashed?.[unit] ? [5, 4] : []);
        pen.beginPath();
        let down = false;
        row.forEach((value, step) => {
          if (value === null) { down = false; return; }
          down ? pen.lineTo(x(step), y(value)) : pen.moveTo(x(step), y(value));
          down = true;
          if (row[step - 1] == null && row[step + 1] == null) { // alone: a line would not show it
            pen.fillRect(x(step) - 3, y(value) - 3, 6, 6);
          }
        });
        pen.stroke();
      });
    }

    function drawMarks(pen, width, height, color) {
      pen.fillStyle = color("--ink");
      for (const mark of sequence.marks) {
        const x = ((mark + 0.5) / sequence.length) * width;
        for (let y = 0; y < height; y += 6) pen.fillRect(x - 0.5, y, 1, 2);
      }
    }

    function drawAxis(canvas, color) {
      const width = canvas.clientWidth, pen = penOf(canvas, AXIS);
      pen.fillStyle = color("--faint");
      pen.font = "11px system-ui, sans-serif";
      const step = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000].find(
        (one) => (one / sequence.length) * width >= 44) ?? 2000;
      for (let at = 0; at < sequence.length; at += step) {
        const x = ((at + 0.5) / sequence.length) * width;
        pen.fillRect(x - 0.5, 0, 1, 4);
        pen.textAlign = x > width - 14 ? "right" : x < 8 ? "left" : "center";
        pen.fillText(String(at), Math.max(0, Math.min(x, width)), 17);
      }
      for (const mark of sequence.marks) { // a triangle for each marked step
        const x = ((mark + 0.5) / sequence.length) * width;
        pen.fillStyle = color("--ink");
        pen.beginPath();
        pen.moveTo(x, 0); pen.lineTo(x - 4, 7); pen.lineTo(x + 4, 7);
        pen.fill();
      }
    }
  }

  function make(tag, name, text = "") {
    const element = document.createElement(tag);
    element.className = name;
    element.textContent = text;
    return element;
  }

  function penOf(canvas, height) {
    const ratio = devicePixelRatio || 1;
    canvas.style.height = `${height}px`;
    canvas.width = Math.max(1, Math.round(canvas.clientWidth * ratio));
    canvas.height = Math.round(height * ratio);
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    return pen;
  }

  function strongest(row, from, to) { // of the steps that share a pixel, the one farthest from 0
    let found = row[from];
    for (let step = from + 1; step < to; step++) {
      if (Math.abs(row[step]) > Math.abs(found)) found = row[step];
    }
    return found;
  }

  function number(value) {
    if (value === null) return "–";
    return value.toFixed(Math.abs(value) < 100 ? 2 : 0).replace("-", "−");
  }

  function scaleOf(panel) {
    return `${number(panel.low)} to ${number(panel.high)}`;
  }

  function rgb(hex) {
    return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
  }

  function mix(a, b, share) {
    return `rgb(${a.map((value, i) => Math.round(value + (b[i] - value) * share)).join(" ")})`;
  }
})();
