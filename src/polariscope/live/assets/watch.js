// The loop: asks once a second what is new, and waits longer where nobody answers or looks.
const kEvery = 1000, kHidden = 5000, kLongest = 5000;
let timer, polling = false, wantedAgain = false, failures = 0, lastMaps = 0;

function say(kind, words) {
  const status = find('status');
  if (status.dataset.state === kind && status.querySelector('.words').textContent === words) return;
  status.dataset.state = kind;
  status.querySelector('.words').textContent = words;
}

function showTitle() {
  const run = state.selected[0];
  if (!run) return;
  const share = run.planned > 0 && run.step !== null ? `${Math.floor(100 * run.step / run.planned)} % · ` : '';
  document.title = `${share}loss ${numberText(run.loss)} · ${run.label}`;
}

async function updateAlarms() {
  for (const run of state.selected) {
    const known = state.alarms.get(run.id) ?? { count: 0, rescues: 0 };
    if (run.alarms === known.count && run.rescues === known.rescues) continue;
    state.alarms.set(run.id, await ask('alarms', { run: run.id }));
  }
  const alone = state.selected.length === 1;
  const alarmsOf = (run) => (run.alarms + run.rescues > 0 ? state.alarms.get(run.id)?.alarms ?? [] : []);
  const all = state.selected.flatMap((run) => alarmsOf(run).map((alarm) => ({ run, ...alarm })));
  all.sort((a, b) => b.step - a.step);
  const key = JSON.stringify(all.map(({ run, step, sentence }) => [run.id, step, sentence]));
  const list = find('alarm-list');
  if (list.dataset.key === key) return;
  list.dataset.key = key;
  list.replaceChildren(...all.slice(0, 100).map(({ run, step, kind, sentence }) => {
    const who = make('b', { textContent: alone ? '' : run.label });
    who.style.color = run.colour;
    const part = (className, textContent) => make('span', { className, textContent });
    return make('li', {}, part('at', `step ${stepText(step)}`), part('kind', kind), who, part('', sentence));
  }));
  if (all.length === 0) list.replaceChildren(make('li', { className: 'quiet', textContent: 'none so far' }));
}

async function updateCurves() {
  for (const run of state.selected) {
    if (!state.curves.has(run.id)) state.curves.set(run.id, new Curves(run.id));
    const curves = state.curves.get(run.id);
    // What has ended does not change once it was read.
    const over = !['running', 'stopped'].includes(run.phase) && curves.read === 1 && curves.steps === run.step;
    const columns = columnsWanted(curves);
    if (!over || !columns.every((column) => curves.asked.has(column))) await curves.update(columns);
  }
}

function reading() {
  const shares = loaded().map(({ curves }) => curves.read).filter((share) => share < 1);
  return shares.length > 0 ? Math.min(...shares) : 1;
}

async function poll() {
  await updateRuns();
  await updateCurves();
  await updateAlarms();
  showRuns();
  offerOthers();
  offerLayers();
  showCharts();
  showTitle();
  if (performance.now() - lastMaps < 2500) return;
  lastMaps = performance.now();
  await updateStrips();
  await updateProbes();
}

async function turn() {
  if (polling) {
    wantedAgain = true;
    return;
  }
  polling = true;
  clearTimeout(timer);
  let wait = document.hidden ? kHidden : kEvery;
  try {
    if (state.colours.layers.length === 1) state.colours = await ask('colours');
    await poll();
    failures = 0;
    const share = reading();
    if (share < 1) wait = 150;
    say(share < 1 ? 'waiting' : 'live', share < 1 ? `reading the log: ${Math.floor(100 * share)} %` : 'live');
  } catch (error) {
    ++failures;
    wait = Math.min(kLongest, kEvery * failures);
    if (error.gone) say('gone', 'another server answers here: open the address that it printed');
    else say('away', 'the server does not answer; the page goes on when it does');
    if (!error.gone && !(error instanceof TypeError) && error.name !== 'TimeoutError') console.error(error);
  }
  polling = false;
  timer = setTimeout(turn, wantedAgain ? 0 : wait);
  wantedAgain = false;
}

function pollSoon() {
  lastMaps = 0;
  turn();
}

for (const chart of kCharts) addChart({ ...chart });
addChoice();
drawRamp();
listenToStrips();
listenToMap();
for (const id of ['layer', 'focus', 'statistic', 'sentence', 'probe-layer']) find(id).addEventListener('change', pollSoon);
find('filter').addEventListener('input', showRuns);
find('smoothing').addEventListener('input', (event) => {
  view.smoothing = Number(event.target.value);
  redrawAll();
});
find('log-steps').addEventListener('change', (event) => {
  view.logSteps = event.target.checked;
  redrawAll();
});
find('whole').addEventListener('click', () => lookAt(null, null));
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
  showCharts();
  drawStrips();
  drawLarge();
});
new ResizeObserver(() => {
  redrawAll();
  drawStrips();
  drawLarge();
}).observe(find('charts'));
document.addEventListener('visibilitychange', () => { if (!document.hidden) pollSoon(); });
turn();
