// One chart of curves over the steps, on a canvas.
class Chart {
  constructor(figure, options) {
    Object.assign(this, { figure, log: false, fromZero: false, lines: [], marks: [] }, options);
    this.canvas = figure.querySelector('canvas');
    this.tip = figure.querySelector('.tip');
    listenTo(this);
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
    paint.rect(kMargin.left, kMargin.top - 4, this.x.end - this.x.begin, this.y.begin - this.y.end + 8);
    paint.clip();
    for (const mark of this.marks) this.drawMark(paint, mark, height);
    for (const line of this.lines) this.drawLine(paint, line);
    paint.restore();
    drawCursor(this, paint, height);
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
}
