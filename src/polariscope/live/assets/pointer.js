// What the pointer does in a chart: tells the numbers of a step, in all charts the place, and looks closer.

// Index of the bucket that holds a step, or the nearest one.
function bucketAt(line, step) {
  let low = 0, high = line.last.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (line.last[middle] < step) low = middle + 1;
    else high = middle;
  }
  return low;
}

// null where the line has ended, or has no number there.
function valueAt(line, step) {
  if (line.last[line.last.length - 1] < step) return null;
  let i = bucketAt(line, step);
  while (line.sparse && i > 0 && line.drawn[i] === null) --i;
  return line.drawn[i];
}

function drawCursor(chart, paint, height) {
  const { x, tip } = chart;
  tip.hidden = true;
  if (view.cursor === null || view.cursor < x.low || view.cursor > x.high) return;
  const at = x.at(view.cursor), room = height - kMargin.top - kMargin.bottom;
  paint.fillStyle = style('--muted');
  paint.fillRect(Math.round(at), kMargin.top, 1, room);
  if (view.drag !== null) {
    const other = x.at(view.drag);
    paint.globalAlpha = 0.12;
    paint.fillStyle = style('--link');
    paint.fillRect(Math.min(at, other), kMargin.top, Math.abs(at - other), room);
    paint.globalAlpha = 1;
  }
  if (view.pointed === chart) fillTip(chart, at);
}

// The largest number first; of many lines those at both ends.
function fillTip(chart, at) {
  const kMost = 12;
  let rows = chart.lines.map((line) => ({ line, value: valueAt(line, view.cursor) }));
  rows = rows.filter(({ line, value }) => chart.drawable(value) && line.label).sort((a, b) => b.value - a.value);
  if (rows.length > kMost) rows = [...rows.slice(0, kMost / 2), ...rows.slice(-kMost / 2)];
  if (rows.length === 0) return;
  const step = make('b', { textContent: `step ${stepText(Math.round(view.cursor))}` });
  chart.tip.replaceChildren(step, ...rows.map(({ line, value }) => {
    const swatch = make('i');
    swatch.style.background = line.colour;
    return make('span', {}, swatch, `${line.label} `, make('em', { textContent: numberText(value) }));
  }));
  putTip(chart.tip, at, chart.canvas.clientWidth);
}

// Beside a place, on the side where there is more room.
function putTip(tip, at, width) {
  const isRight = at > width / 2;
  tip.style.left = isRight ? 'auto' : `${at + 12}px`;
  tip.style.right = isRight ? `${width - at + 12}px` : 'auto';
  tip.hidden = false;
}

function listenTo(chart) {
  const { canvas } = chart;
  const stepAt = (event) => Math.min(chart.x.high, Math.max(chart.x.low, chart.x.value(event.offsetX)));
  canvas.addEventListener('pointermove', (event) => {
    if (!chart.x) return;
    Object.assign(view, { cursor: stepAt(event), pointed: chart });
    redrawAll();
  });
  canvas.addEventListener('pointerleave', () => {
    Object.assign(view, { cursor: null, pointed: null, drag: null });
    redrawAll();
  });
  canvas.addEventListener('pointerdown', (event) => {
    if (chart.x && event.pointerType === 'mouse' && event.button === 0) view.drag = stepAt(event);
  });
  canvas.addEventListener('pointerup', (event) => {
    if (view.drag === null) return;
    const kLeast = 8;  // pixels: less is a click
    const [from, to] = [view.drag, stepAt(event)].sort((a, b) => a - b);
    view.drag = null;
    if (chart.x.at(to) - chart.x.at(from) > kLeast) lookAt(Math.floor(from), Math.ceil(to));
  });
  canvas.addEventListener('dblclick', () => lookAt(null, null));
}
