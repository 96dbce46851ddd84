// One chart of curves over the steps, on a canvas. All share their stretch of steps, and what the pointer points at.
const kMargin = { left: 54, right: 14, top: 10, bottom: 24 };
const view = { from: null, to: null, logSteps: false, smoothing: 0, cursor: null };

// About `count` round numbers in [low, high].
function roundNumbers(low, high, count) {
  if (!(high > low)) return [low];
  const rough = (high - low) / count, power = 10 ** Math.floor(Math.log10(rough));
  const each = [1, 2, 5, 10].find((factor) => factor * power >= rough) * power;
  const ticks = [];
  for (let i = Math.ceil(low / each - 1e-9); i * each <= high + 1e-9 * each; ++i) ticks.push(i * each + 0);
  return ticks;
}

// On a logarithmic axis: powers of ten, fewer where there are many, with twos and fives where there are few.
function roundFactors(low, high) {
  const from = Math.ceil(Math.log10(low) - 1e-9), to = Math.floor(Math.log10(high) + 1e-9);
  const each = Math.max(1, Math.ceil((to - from + 1) / 7));
  const powers = [];
  for (let i = from; i <= to; ++i) if (i % each === 0) powers.push(10 ** i);
  if (powers.length > 2) return powers;
  const fine = [];
  for (let i = from - 1; i <= to; ++i) for (const factor of [1, 2, 5]) fine.push(factor * 10 ** i);
  const within = fine.filter((value) => value >= low * (1 - 1e-9) && value <= high * (1 + 1e-9));
  return within.length > 1 ? within : roundNumbers(low, high, 4);
}

function extremes(values) {
  let low = Infinity, high = -Infinity;
  for (const value of values) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  return [low, high];
}

// The last steps of a run that explodes would make a level line of all before them: they leave a linear chart upwards.
function withoutExplosion(values) {
  const kUsual = 0.95, kFar = 20;
  const [low, high] = extremes(values);
  if (values.length < 20) return [low, high];
  const usual = [...values].sort((a, b) => a - b)[Math.floor(kUsual * values.length)];
  return high - low > kFar * (usual - low) && usual > low ? [low, low + 1.5 * (usual - low)] : [low, high];
}

class Axis {
  constructor(low, high, log, begin, end) {
    Object.assign(this, { low, high, log, begin, end });
    this.place = log ? Math.log : (value) => value;
    this.base = this.place(low);
    this.extent = this.place(high) - this.base || 1;
  }

  at(value) {
    return this.begin + (this.place(value) - this.base) / this.extent * (this.end - this.begin);
  }

  value(at) {
    const place = this.base + (at - this.begin) / (this.end - this.begin) * this.extent;
    return this.log ? Math.exp(place) : place;
  }

  ticks(count) {
    return this.log ? roundFactors(this.low, this.high) : roundNumbers(this.low, this.high, count);
  }
}

// An exponential mean of about 1/(1 − share) buckets, without the pull towards the first one.
function smoothed(values, share) {
  if (share === 0) return values;
  let sum = 0, weight = 0;
  return values.map((value) => {
    if (value === null) return null;
    sum = share * sum + (1 - share) * value;
    weight = share * weight + (1 - share);
    return sum / weight;
  });
}

// Whether a number is logged at fewer than half of the steps.
function isSparse(values) {
  return values.reduce((known, value) => known + (value !== null), 0) < values.length / 2;
}

class Chart {
  constructor(figure, options) {
    Object.assign(this, { figure, log: false, fromZero: false, lines: [], marks: [] }, options);
    this.canvas = figure.querySelector('canvas');
    this.tip = figure.querySelector('.tip');
    this.listen();
  }

  // lines: [{label, colour, width, alpha, first, last, curve: {mean, low, high}}], marks: [{step, colour}]
  show(lines, marks, empty) {
    Object.assign(this, { lines, marks, empty });
    this.draw();
  }

  xAxis(width) {
    let high = Math.max(1, ...this.lines.map((line) => line.last[line.last.length - 1] ?? 0));
    let low = view.logSteps ? 1 : 0;
    if (view.from !== null) [low, high] = [Math.max(view.from, low), view.to];
    return new Axis(low, Math.max(high, low + 1), view.logSteps, kMargin.left, width - kMargin.right);
  }

  yAxis(height, x) {
    const values = [];
    for (const line of this.lines) {
      const spread = view.smoothing === 0;
      line.drawn.forEach((value, i) => {
        if (line.last[i] < x.low || line.first[i] > x.high) return;
        for (const one of [spread ? line.curve.low[i] : value, spread ? line.curve.high[i] : value]) {
          if (one !== null && (!this.log || one > 0)) values.push(one);
        }
      });
    }
    let [low, high] = this.log ? extremes(values) : withoutExplosion(values);
    if (low > high) [low, high] = this.log ? [0.1, 1] : [0, 1];
    if (this.log) {
      const room = low === high ? 2 : (high / low) ** 0.05;
      [low, high] = [low / room, high * room];
    } else {
      if (this.fromZero && low >= 0) low = 0;
      const room = (high - low || Math.abs(high) || 1) * 0.06;
      [low, high] = [low === 0 && this.fromZero ? 0 : low - room, high + room];
    }
    return new Axis(low, high, this.log, height - kMargin.bottom, kMargin.top);
  }

  draw() {
    const width = this.canvas.clientWidth, height = this.height ?? 210;
    if (width === 0) return;
    const paint = prepared(this.canvas, width, height);
    paint.font = `11.5px ${style('--text')}`;
    for (const line of this.lines) {
      line.drawn = smoothed(line.curve.mean, view.smoothing);
      line.sparse = isSparse(line.drawn);
    }
    this.x = this.xAxis(width);
    this.y = this.yAxis(height, this.x);
    this.drawAxes(paint, width, height);
    if (this.lines.length === 0) {
      paint.fillStyle = style('--muted');
      paint.textAlign = 'center';
      paint.fillText(this.empty ?? '', (kMargin.left + width - kMargin.right) / 2, height / 2);
      return;
    }
    paint.save();
    paint.beginPath();
    paint.rect(kMargin.left, kMargin.top - 4, width - kMargin.left - kMargin.right, height - kMargin.top - kMargin.bottom + 8);
    paint.clip();
    for (const mark of this.marks) this.drawMark(paint, mark, height);
    for (const line of this.lines) this.drawLine(paint, line);
    paint.restore();
    this.drawCursor(paint, height);
  }

  drawAxes(paint, width, height) {
    paint.strokeStyle = style('--line');
    paint.fillStyle = style('--muted');
    paint.lineWidth = 1;
    paint.textBaseline = 'middle';
    paint.textAlign = 'right';
    for (const tick of this.y.ticks(6)) {
      const at = Math.round(this.y.at(tick)) + 0.5;
      paint.beginPath();
      paint.moveTo(kMargin.left, at);
      paint.lineTo(width - kMargin.right, at);
      paint.stroke();
      paint.fillText(tickText(tick), kMargin.left - 7, at);
    }
    paint.textBaseline = 'alphabetic';
    paint.textAlign = 'center';
    let free = -Infinity;
    for (const tick of this.x.ticks(Math.max(3, Math.floor(width / 80)))) {
      if (!Number.isInteger(tick)) continue;
      const words = stepText(tick), half = paint.measureText(words).width / 2, at = this.x.at(tick);
      if (at - half < free || at + half > width) continue;
      paint.fillText(words, at, height - 7);
      free = at + half + 10;
    }
  }

  drawMark(paint, mark, height) {
    const at = Math.round(this.x.at(Math.max(mark.step, this.x.low))) + 0.5;
    paint.globalAlpha = 0.55;
    paint.strokeStyle = mark.colour;
    paint.setLineDash([3, 3]);
    paint.lineWidth = 1;
    paint.beginPath();
    paint.moveTo(at, kMargin.top);
    paint.lineTo(at, height - kMargin.bottom);
    paint.stroke();
    paint.setLineDash([]);
    paint.globalAlpha = 1;
    paint.fillStyle = mark.colour;
    paint.beginPath();
    paint.moveTo(at - 4, kMargin.top - 4);
    paint.lineTo(at + 4, kMargin.top - 4);
    paint.lineTo(at, kMargin.top + 3);
    paint.fill();
  }

  // Where a bucket stands: in its middle.
  placeOf(line, i) {
    const step = (line.first[i] + line.last[i]) / 2;
    return this.x.at(Math.max(step, view.logSteps ? 1 : 0));
  }

  drawable(value) {
    return value !== null && value !== undefined && (!this.log || value > 0);
  }

  // Gaps are where a number was not finite; of one that is logged now and then they are the rule, and bridged.
  trace(paint, line, values) {
    paint.beginPath();
    let open = false;
    for (let i = 0; i < values.length; ++i) {
      if (!this.drawable(values[i])) {
        open = open && line.sparse;
        continue;
      }
      const at = this.placeOf(line, i), up = this.y.at(values[i]);
      if (open) paint.lineTo(at, up);
      else paint.moveTo(at, up);
      open = true;
    }
    paint.stroke();
  }

  drawBand(paint, line) {
    const { low, high } = line.curve;
    const floor = this.y.low;
    const known = low.map((value, i) => i).filter((i) => this.drawable(high[i]));
    if (!known.some((i) => high[i] > low[i])) return;
    paint.globalAlpha = 0.17 * (line.alpha ?? 1);
    paint.fillStyle = line.colour;
    paint.beginPath();
    for (const i of known) paint.lineTo(this.placeOf(line, i), this.y.at(high[i]));
    for (const i of known.reverse()) {
      paint.lineTo(this.placeOf(line, i), this.y.at(this.drawable(low[i]) ? low[i] : floor));
    }
    paint.fill();
  }

  drawLine(paint, line) {
    paint.strokeStyle = line.colour;
    paint.lineJoin = 'round';
    if (view.smoothing === 0) {
      this.drawBand(paint, line);
    } else {
      paint.globalAlpha = 0.25 * (line.alpha ?? 1);
      paint.lineWidth = 1;
      this.trace(paint, line, line.curve.mean);
    }
    paint.globalAlpha = line.alpha ?? 1;
    paint.lineWidth = line.width ?? 1.7;
    this.trace(paint, line, line.drawn);
    const end = line.sparse ? line.drawn.findLastIndex((value) => value !== null) : line.drawn.length - 1;
    if (end >= 0 && this.drawable(line.drawn[end])) {
      paint.fillStyle = line.colour;
      paint.beginPath();
      paint.arc(this.placeOf(line, end), this.y.at(line.drawn[end]), 2.4, 0, 2 * Math.PI);
      paint.fill();
    }
    paint.globalAlpha = 1;
  }

  // Index of the bucket that holds a step, or the nearest one.
  bucketAt(line, step) {
    let low = 0, high = line.last.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (line.last[middle] < step) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  drawCursor(paint, height) {
    this.tip.hidden = true;
    if (view.cursor === null || view.cursor < this.x.low || view.cursor > this.x.high) return;
    const at = this.x.at(view.cursor);
    paint.strokeStyle = style('--muted');
    paint.lineWidth = 1;
    paint.beginPath();
    paint.moveTo(Math.round(at) + 0.5, kMargin.top);
    paint.lineTo(Math.round(at) + 0.5, height - kMargin.bottom);
    paint.stroke();
    if (view.drag !== undefined && view.drag !== null) {
      paint.globalAlpha = 0.12;
      paint.fillStyle = style('--link');
      paint.fillRect(Math.min(at, this.x.at(view.drag)), kMargin.top, Math.abs(at - this.x.at(view.drag)),
                     height - kMargin.top - kMargin.bottom);
      paint.globalAlpha = 1;
    }
    if (view.pointed === this) this.fillTip(at);
  }

  fillTip(at) {
    const rows = this.lines.map((line) => {
      let i = this.bucketAt(line, view.cursor);
      while (line.sparse && i > 0 && line.drawn[i] === null) --i;
      return { line, value: line.last[line.last.length - 1] < view.cursor ? null : line.drawn[i] };
    }).filter((row) => this.drawable(row.value) && row.line.label);
    if (rows.length === 0) return;
    rows.sort((a, b) => b.value - a.value);
    const kMost = 12, shown = rows.length > kMost ? [...rows.slice(0, kMost / 2), ...rows.slice(-kMost / 2)] : rows;
    this.tip.replaceChildren(make('b', { textContent: `step ${stepText(Math.round(view.cursor))}` }), ...shown.map(({ line, value }) => {
      const swatch = make('i');
      swatch.style.background = line.colour;
      return make('span', {}, swatch, `${line.label} `, make('em', { textContent: numberText(value) }));
    }));
    this.tip.hidden = false;
    const left = at > this.canvas.clientWidth / 2;
    this.tip.style.left = left ? 'auto' : `${at + 12}px`;
    this.tip.style.right = left ? `${this.canvas.clientWidth - at + 12}px` : 'auto';
  }

  listen() {
    const stepAt = (event) => Math.min(this.x.high, Math.max(this.x.low, this.x.value(event.offsetX)));
    this.canvas.addEventListener('pointermove', (event) => {
      if (!this.x) return;
      Object.assign(view, { cursor: stepAt(event), pointed: this });
      redrawAll();
    });
    this.canvas.addEventListener('pointerleave', () => {
      Object.assign(view, { cursor: null, pointed: null, drag: null });
      redrawAll();
    });
    this.canvas.addEventListener('pointerdown', (event) => {
      if (this.x && event.pointerType === 'mouse' && event.button === 0) view.drag = stepAt(event);
    });
    this.canvas.addEventListener('pointerup', (event) => {
      if (view.drag === undefined || view.drag === null) return;
      const [from, to] = [view.drag, stepAt(event)].sort((a, b) => a - b);
      view.drag = null;
      if (this.x.at(to) - this.x.at(from) > 8) lookAt(Math.floor(from), Math.ceil(to));
    });
    this.canvas.addEventListener('dblclick', () => lookAt(null, null));
  }
}
