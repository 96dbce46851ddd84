// One statistic of every head over the steps: a strip a head, a colour a value.
const strips = { reply: null, rows: [] };

const kStripLeft = 62, kStripBottom = 20;

// [{layer, head, top, height, values}], with a gap between layers.
function layOut(reply) {
  const heads = reply.rows.length, height = heads <= 16 ? 16 : heads <= 64 ? 9 : 5, gap = heads <= 64 ? 5 : 2;
  const laid = [];
  let top = 4, row = 0;
  reply.layers.forEach((count, layer) => {
    for (let head = 0; head < count; ++head, ++row) {
      laid.push({ layer: layer + 1, head: head + 1, top, height, values: reply.rows[row] });
      top += height + (height > 8 ? 1 : 0);
    }
    top += gap;
  });
  return { laid, height: top + kStripBottom };
}

function rangeOf(reply) {
  let low = Infinity, high = -Infinity;
  for (const row of reply.rows) {
    for (const value of row) {
      if (value === null) continue;
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
  }
  return low <= high ? [low, high] : [0, 1];
}

// Widely spread values of one sign show more by their orders of magnitude.
function shareOf(low, high) {
  const log = low > 0 && high / low > 100;
  const place = log ? Math.log : (value) => value;
  return (value) => (high > low ? (place(value) - place(low)) / (place(high) - place(low)) : 0.5);
}

function columnPlaces(reply, width) {
  const room = width - kStripLeft - 2, last = Math.max(reply.last, 1);
  const edges = [...reply.steps, last + (reply.steps.length > 1 ? 0 : 1)];
  const from = edges[0], extent = edges[edges.length - 1] - from || 1;
  return edges.map((step) => Math.round(kStripLeft + (step - from) / extent * room));
}

function drawStrips() {
  const canvas = find('strips'), { reply } = strips;
  if (!reply || reply.rows.length === 0 || reply.steps.length === 0) return;
  const width = canvas.clientWidth, { laid, height } = layOut(reply);
  const paint = prepared(canvas, width, height), [low, high] = rangeOf(reply), share = shareOf(low, high);
  const places = columnPlaces(reply, width);
  for (const row of laid) {
    row.values.forEach((value, i) => {
      paint.fillStyle = value === null ? style('--line') : `rgb(${rampColour(share(value)).join(',')})`;
      // One pixel under the next column, so that no seam shows where pixels of the screen are others.
      const overlap = i + 1 < row.values.length ? 1 : 0;
      paint.fillRect(places[i], row.top, Math.max(1, places[i + 1] - places[i]) + overlap, row.height);
    });
  }
  drawStripWords(paint, reply, laid, width, height);
  Object.assign(strips, { rows: laid, places });
  find('least').textContent = numberText(low);
  find('most').textContent = numberText(high);
}

function drawStripWords(paint, reply, laid, width, height) {
  paint.font = `11.5px ${style('--text')}`;
  paint.fillStyle = style('--muted');
  paint.textBaseline = 'middle';
  paint.textAlign = 'right';
  let free = -Infinity;
  for (const layer of new Set(laid.map((row) => row.layer))) {
    const of = laid.filter((row) => row.layer === layer), last = of[of.length - 1];
    const middle = (of[0].top + last.top + last.height) / 2;
    if (middle - free < 12) continue;
    paint.fillText(`layer ${layer}`, kStripLeft - 8, middle);
    free = middle;
  }
  const axis = new Axis(reply.steps[0], Math.max(reply.last, reply.steps[0] + 1), false, kStripLeft, width - 2);
  paint.textBaseline = 'alphabetic';
  paint.textAlign = 'center';
  for (const tick of axis.ticks(Math.max(3, Math.floor(width / 100)))) {
    const words = stepText(tick), half = paint.measureText(words).width / 2;
    if (!Number.isInteger(tick) || axis.at(tick) + half > width) continue;
    paint.fillText(words, Math.max(axis.at(tick), kStripLeft + half), height - 5);
  }
}

function drawRamp() {
  const canvas = find('ramp'), paint = canvas.getContext('2d');
  for (let i = 0; i < canvas.width; ++i) {
    paint.fillStyle = `rgb(${rampColour(i / (canvas.width - 1)).join(',')})`;
    paint.fillRect(i, 0, 1, canvas.height);
  }
}

function stripAt(event) {
  const row = strips.rows.find(({ top, height }) => event.offsetY >= top && event.offsetY < top + height + 1);
  if (!row || !strips.places) return null;
  const { places } = strips;
  const column = places.findIndex((place, i) => event.offsetX >= place && event.offsetX < (places[i + 1] ?? Infinity));
  return column < 0 || column >= row.values.length ? null : { row, column };
}

function listenToStrips() {
  const canvas = find('strips'), tip = canvas.parentElement.querySelector('.tip');
  canvas.addEventListener('pointermove', (event) => {
    const at = stripAt(event);
    tip.hidden = !at;
    if (!at) return;
    const { row, column } = at, number = make('em', { textContent: numberText(row.values[column]) });
    tip.replaceChildren(make('b', { textContent: `layer ${row.layer}, head ${row.head}` }),
                        make('span', {}, `step ${stepText(strips.reply.steps[column])} `, number));
    putTip(tip, event.offsetX, canvas.clientWidth);
    tip.style.top = `${event.offsetY + 12}px`;
  });
  canvas.addEventListener('pointerleave', () => { tip.hidden = true; });
  canvas.addEventListener('click', (event) => {
    const at = stripAt(event);
    if (!at || state.selected.length !== 1) return;
    find('layer').value = String(at.row.layer);
    pollSoon();
  });
}

function focusRun() {
  return state.selected.find((run) => run.id === find('focus').value) ?? state.selected[0];
}

async function updateStrips() {
  const run = focusRun(), curves = run && state.curves.get(run.id);
  const names = curves ? Object.keys(curves.heads) : [];
  find('heads').hidden = names.length === 0;
  offer(find('focus'), state.selected.map((one) => [one.id, one.label]));
  find('of-run').hidden = state.selected.length < 2;
  if (names.length === 0) return;
  names.sort((a, b) => (b === 'entropy') - (a === 'entropy'));
  offer(find('statistic'), names.map((name) => [name, nameOf(name)[0]]));
  const statistic = find('statistic').value;
  strips.reply = await ask('strips', { run: run.id, statistic });
  find('strips').setAttribute('aria-label', `${nameOf(statistic)[0]} of every head of ${run.label} over the steps`);
  drawStrips();
}
