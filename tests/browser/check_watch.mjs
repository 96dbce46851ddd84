// node check_watch.mjs POLARISCOPE [--screenshots FOLDER]
// Follows real trainings in headless Chromium, while they, the server and the page are stopped and go on. Exit code 0 when
// every check passes, 1 when one fails, 2 on wrong use, 77 where Chromium or Playwright is absent.
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

import { check, launch, stop, stopWithVerdict } from './checks.mjs';

const [program, option, pictures] = process.argv.slice(2);
if (!program || !existsSync(program) || (option && (option !== '--screenshots' || !pictures))) {
  stop(2, 'usage: node check_watch.mjs POLARISCOPE [--screenshots FOLDER]');
}
if (pictures) mkdirSync(pictures, { recursive: true });

const folder = mkdtempSync(join(tmpdir(), 'polariscope-watch-'));
const children = new Set();
function start(...words) {
  const child = spawn(resolve(program), words, { cwd: folder, env: { ...process.env, XDG_STATE_HOME: join(folder, 'state') } });
  children.add(child);
  child.text = '';
  child.stdout.on('data', (bytes) => { child.text += bytes; });
  child.over = new Promise((done) => child.on('exit', (code) => {
    children.delete(child);
    done(code);
  }));
  return child;
}
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});

const kPatience = 90000;  // of a busy machine
async function until(sentence, what) {
  for (const end = Date.now() + kPatience; Date.now() < end;) {
    if (await what().catch(() => false)) return check(sentence, true);
    await new Promise((done) => setTimeout(done, 100));
  }
  return check(sentence, false, 'not within a minute and a half');
}

const freePort = () => new Promise((done) => {
  const server = createServer().listen(0, '127.0.0.1', () => {
    const { port } = server.address();
    server.close(() => done(port));
  });
});

// Attention alone needs no LibTorch. The first collapses and explodes after 275 steps, with alarms.
const kTraining = ['--task', 'in-context-regression', '--threads', '1', '--quiet'];
const train = (out, ...words) => start('train', ...kTraining, '--out', join('runs', out), ...words);
const kExplodes = ['--attention', 'softmax1', '--batch', '150', '--learning-rate', '0.5', '--seed', '12'];
const kCalm = ['--attention', 'elu1_kernel/sum', '--batch', '400', '--steps', '1000000', '--checkpoint-every', '1'];

mkdirSync(join(folder, 'runs'));
const port = await freePort();
let server;
async function serve() {
  server = start('watch', 'runs', '--port', String(port));
  await until('the server says its address', async () => server.text.includes('http://'));
  return server.text.match(/http:\S+/)[0];
}

const browser = await launch();
const complaints = [];
const elsewhere = [];
const address = await serve();
async function open(options, at = address) {
  const page = await (await browser.newContext(options)).newPage();
  page.on('console', (message) => {
    // A browser says so of every request to a server that is gone.
    const isLost = message.text().startsWith('Failed to load resource: net::ERR_CONNECTION');
    if (['error', 'warning'].includes(message.type()) && !isLost) complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(`exception: ${error.message}`));
  page.on('request', (request) => { if (!request.url().startsWith(at)) elsewhere.push(request.url()); });
  await page.goto(at);
  return page;
}
const page = await open({ viewport: { width: 1280, height: 900 }, colorScheme: 'light' });
const status = () => page.$eval('#status', (element) => element.dataset.state);
const row = (name) => page.locator('#run-list li', { has: page.locator('b', { hasText: new RegExp(`${name}$`) }) });
const phase = async (name) => (await row(name).locator('.phase').textContent()).trim();
const step = async (name) => Number((await row(name).locator('.steps').textContent()).replace(/,| .*/g, ''));
// Lines of each chart with the number of their points, as the page holds them.
const lines = () => page.evaluate(() => charts.map((chart) => chart.lines.map((line) => line.curve.mean.length)));
const inks = () => page.$$eval('.chart canvas', (all) => all.map((canvas) => {
  const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext('2d', { willReadFrequently: true });
  copy.drawImage(canvas, 0, 0);
  const bytes = copy.getImageData(0, 0, canvas.width, canvas.height).data;
  let count = 0;
  for (let i = 3; i < bytes.length; i += 4) if (bytes[i] > 0) ++count;
  return count;
}));

await until('a page without runs says so', async () => (await page.textContent('#run-list')).includes('No run is here yet'));
let calm = train('calm', ...kCalm);
await until('a run that begins appears', async () => await phase('calm') === 'running' && await step('calm') > 0);
await until('its steps go on', async () => await step('calm') > 30);
await until('its charts have a line a layer', async () => (await lines())[2].length === 5 && (await lines())[0][0] > 20);
check('every chart has ink', (await inks()).every((count) => count > 500), String(await inks()));
await until('it tells its speed and how long it will take',
  async () => /steps\/s · .* left/.test(await row('calm').locator('.rate').textContent()));

const exploding = train('explodes', ...kExplodes);
await until('a second run appears', async () => await row('explodes').count() === 1);
check('its training ends', await exploding.over === 0);
await until('it is said to have diverged', async () => await phase('explodes') === 'diverged');
await row('explodes').locator('input').check();
await until('both runs are drawn, one over the other', async () => (await lines())[0].length === 2);
await until('its alarms are listed', async () => await page.locator('#alarm-list .kind').count() > 3);
const marks = await page.evaluate(() => charts[0].marks.length);
check('and marked in the charts', marks > 3, String(marks));
const log = readFileSync(join(folder, 'runs', 'explodes', 'metrics.jsonl'), 'utf8');
const logged = log.trim().split('\n').map((line) => JSON.parse(line));
const drawn = await page.evaluate(() => {
  const run = state.runs.find((one) => one.name.endsWith('explodes')), curves = state.curves.get(run.id);
  return { steps: curves.first, loss: curves.columns.get('loss')[0].mean, entropy: curves.columns.get('entropy')[4].mean };
});
const near = (a, b) => a === b || Math.abs(a - b) <= 2e-5 * Math.abs(b);
const isDrawn = (line, i) => drawn.steps[i] === line.step && near(drawn.loss[i], line.loss)
  && near(drawn.entropy[i], line.entropy[4][0]);
check('what is drawn is what was logged', drawn.steps.length === logged.length && logged.every(isDrawn));

await row('explodes').locator('input').uncheck();
await page.selectOption('#layer', '2');
await until('a layer shows its heads', async () => page.evaluate(() => charts[2].lines[0]?.label === 'head 1'));
await page.selectOption('#layer', '0');
await until('every head has a strip', async () => await page.evaluate(() => strips.rows.length) === 5);

mkdirSync(join(folder, 'runs', 'calm', 'probes'));
writeFileSync(join(folder, 'runs', 'calm', 'probes', 'latest.json'), JSON.stringify({ step: 7, sentences: [
  { tokens: ['The', ' cat', ' sat'], layers: [[[1, 0, 0, 0.5, 0.5, 0, 0.2, 0.3, 0.5], [1, 0, 0, 1, 0, 0, 1, 0, 0]]] }] }));
await until('probe sentences show a map of every head', async () => await page.locator('#thumbs button').count() === 2);
check('they are of the step that they were made at', (await page.textContent('#probe-step')).includes('step 7'));

const canvas = page.locator('.chart canvas').first();
const box = await canvas.boundingBox();
await page.mouse.move(box.x + 200, box.y + 80);
await until('pointing tells the numbers there',
  async () => (await page.locator('.chart .tip').first().textContent()).includes('step'));
await page.mouse.down();
await page.mouse.move(box.x + 300, box.y + 80, { steps: 4 });
await page.mouse.up();
check('dragging looks closer', await page.evaluate(() => view.to > view.from && view.from > 0));
await page.click('#whole');
check('and back', await page.evaluate(() => view.from === null));

// The server goes and comes back.
await until('the page is live', async () => await status() === 'live');
server.kill('SIGKILL');
await server.over;
await until('without the server the page says so', async () => await status() === 'away');
const before = await step('calm');
check('it has the same address again', await serve() === address);
await until('the page goes on by itself', async () => await status() === 'live' && await step('calm') > before);

// The training hangs, goes and comes back.
calm.kill('SIGSTOP');
await until('a training that writes nothing is said to be silent', async () => /^no new line for \d+ s$/.test(await phase('calm')));
calm.kill('SIGCONT');
await until('until it goes on', async () => await phase('calm') === 'running');
calm.kill('SIGKILL');
await calm.over;
await until('a training that was killed is said to be stopped', async () => await phase('calm') === 'stopped');
const killed = await step('calm');
calm = train('calm', ...kCalm);
await until('one that goes on is followed on',
  async () => await phase('calm') === 'running' && await step('calm') > killed);
await until('without a step twice', async () => page.evaluate(() => {
  const [curves] = [...state.curves.values()];
  return curves.first.every((first, i) => i === 0 || first > curves.last[i - 1]) && curves.steps > 0;
}));

// Other readers.
const narrow = await open({ viewport: { width: 400, height: 800 }, colorScheme: 'dark' });
await until('a narrow dark page draws as well', async () => narrow.evaluate(() => charts[0].lines.length > 0));
const excess = await narrow.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
check('nothing overflows sideways', excess <= 0, `${excess} px`);
const stranger = await (await browser.newContext()).newPage();
const wrong = await stranger.goto(address.replace(/[0-9a-f]{32}/, '0'.repeat(32)));
check('a wrong token gets nothing', wrong.status() === 404);
await stranger.goto('about:blank');
const isRefused = await stranger.evaluate((url) => fetch(url).then(() => false, () => true), `${address}api/runs`);
check('a page of another origin cannot read it', isRefused);
if (pictures) {
  await page.screenshot({ path: join(pictures, 'watch-light.png'), fullPage: true });
  await narrow.screenshot({ path: join(pictures, 'watch-narrow-dark.png'), fullPage: true });
}

function times(name) {
  const run = join(folder, 'runs', name);
  return readdirSync(run, { recursive: true }).map((file) => `${file} ${statSync(join(run, file)).mtimeMs}`).sort().join('\n');
}
const left = times('explodes');
await page.reload();
await until('a page that is loaded again draws the same runs',
  async () => (await lines())[0].length === 1 && await row('calm').locator('input').isChecked());
check('a run that is over was not touched', times('explodes') === left);
check('the page asks nobody else', elsewhere.length === 0, elsewhere.join(', '));
check('no browser complained', complaints.length === 0, complaints.join('; '));
server.kill('SIGINT');
check('an interrupt ends the server', await server.over === 130);
calm.kill('SIGINT');
await calm.over;
await browser.close();
stopWithVerdict('all checks passed');
