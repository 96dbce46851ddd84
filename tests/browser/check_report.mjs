// node check_report.mjs REPORT.html [--screenshots FOLDER] [--tables FOLDER]
// Opens a report in headless Chromium and holds it to what it promises. Exit code 0 when every check
// passes, 1 when one fails, 2 on wrong use, 77 where Chromium or Playwright is absent.
// --screenshots leaves pictures of the page and its print, in parts, and of every figure; --tables compares each downloaded
// CSV with the file of the same name, where the folder has one.
import { existsSync, mkdirSync, readFileSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

import { check, launch, stop, stopWithVerdict } from './checks.mjs';

const kMostBytes = 15e6;

const kUsage = 'usage: node check_report.mjs REPORT.html [--screenshots FOLDER] [--tables FOLDER]';
const [report, ...rest] = process.argv.slice(2);
const folders = {};
for (let i = 0; i < rest.length; i += 2) {
  if (!['--screenshots', '--tables'].includes(rest[i]) || !rest[i + 1]) stop(2, kUsage);
  folders[rest[i].slice(2)] = resolve(rest[i + 1]);
}
if (!report || !existsSync(report)) stop(2, kUsage);
const { screenshots, tables } = folders;
if (screenshots) mkdirSync(screenshots, { recursive: true });
const address = pathToFileURL(resolve(report)).href;

const browser = await launch();

// A page of its own for each reader, with everything it complains of or asks for noted down.
const complaints = [];
const requests = [];
async function open(reader) {
  const context = await browser.newContext({ acceptDownloads: true, ...reader });
  await context.route('**/*', (route) => {
    const url = route.request().url();
    if (url === address || url.startsWith('data:') || url.startsWith('blob:')) return route.continue();
    requests.push(url);
    return route.abort();
  });
  context.setDefaultTimeout(600000);  // a busy machine takes a minute to paint a figure of many points
  const page = await context.newPage();
  // What each figure takes once the page is laid out, and nothing is drawn yet.
  await page.addInitScript(() => addEventListener('DOMContentLoaded', () => {
    window.kept = [...document.querySelectorAll('figure[data-stem]')].map((figure) => figure.offsetHeight);
  }));
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) complaints.push(`${message.type()}: ${message.text()}`);
  });
  page.on('pageerror', (error) => complaints.push(`exception: ${error.message}`));
  await page.goto(address);
  await allDrawn(page);
  return page;
}

// However many figures there are: what may not take long is each of them.
async function allDrawn(page) {
  const waiting = () => page.$$eval('figure[data-stem]',
    (all) => all.filter((figure) => figure.dataset.state === 'waiting').length);
  for (let left = await waiting(); left > 0; left = await waiting()) {
    await page.waitForFunction((before) => [...document.querySelectorAll('figure[data-stem]')]
      .filter((figure) => figure.dataset.state === 'waiting').length < before, left, { timeout: 120000 });
  }
}

// What stands in each figure: its size, how many marks, and the colour of its text.
function figureFacts(page) {
  return page.$$eval('figure[data-stem]', (all) => all.map((figure) => {
    const svg = figure.querySelector('.plot svg');
    const box = svg?.getBoundingClientRect();
    const text = svg?.querySelector('.role-axis-title text, .role-axis-label text');
    const spec = JSON.parse(figure.querySelector('script.spec').textContent);
    const square = (spec.concat ?? [spec]).some((chart) => chart.width?.step);
    const cells = square ? [...svg.querySelectorAll('.role-mark.mark-rect path')] : [];
    const words = [...svg?.querySelectorAll('text') ?? []]
      .filter((word) => word.textContent.trim() && word.getAttribute('opacity') !== '0')
      .map((word) => word.getBoundingClientRect());
    const sizes = cells.map((cell) => cell.getBoundingClientRect());
    return {
      name: figure.dataset.stem, state: figure.dataset.state, label: figure.querySelector('.plot').getAttribute('aria-label'),
      width: box?.width ?? 0, height: box?.height ?? 0, room: figure.querySelector('.plot').clientWidth,
      marks: svg?.querySelectorAll('.mark-group path, .mark-group text, .mark-group rect').length ?? 0,
      text: text?.getAttribute('fill') ?? '',
      cut: words.filter((word) => word.left < box.left - 1 || word.right > box.right + 1).length,
      crooked: sizes.filter((size) => Math.abs(size.width - size.height) > 0.5).length,
    };
  }));
}

const bad = (facts, wrong) => facts.filter(wrong).map((fact) => fact.name).join(', ');
const every = (sentence, facts, holds) => check(sentence, facts.every(holds), bad(facts, (fact) => !holds(fact)));

async function checkFigures(page, name) {
  const facts = await figureFacts(page);
  check(`${name}: there are figures`, facts.length > 0);
  every(`${name}: every figure is drawn`, facts, (fact) => fact.state === 'drawn');
  every(`${name}: every drawing has a size and marks`, facts, (fact) => fact.width > 50 && fact.height > 50 && fact.marks > 3);
  every(`${name}: no drawing is wider than its place`, facts, (fact) => fact.width <= fact.room + 1);
  every(`${name}: no word is cut off at the sides`, facts, (fact) => fact.cut === 0);
  every(`${name}: cells that should be square are`, facts, (fact) => fact.crooked === 0);
  every(`${name}: every figure has a description`, facts, (fact) => Boolean(fact.label));
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  check(`${name}: nothing overflows sideways`, overflow <= 0, `${overflow} px`);
  return facts;
}

// The place that is kept for a figure is the one that it takes, but for a line of text or two, or a hundredth of a tall
// one: a page that grows by hundreds of pixels above or under the eyes cannot be read while it is drawn.
const kTwoLines = 24;
async function checkPlaces(page, name) {
  const moved = await page.$$eval('figure[data-stem]', (all) => all.map(
    (figure, i) => ({ name: figure.dataset.stem, by: figure.offsetHeight - window.kept[i], height: figure.offsetHeight })));
  const far = moved.filter(({ by, height }) => Math.abs(by) > Math.max(kTwoLines, height / 100)).map((figure) => `${figure.name} ${figure.by} px`);
  check(`${name}: the page keeps its figures' places before they are drawn`, far.length === 0, far.join(', '));
}

// Records of RFC 4180, counted without splitting quoted line breaks.
function csvRecords(text) {
  let records = 0, quoted = false;
  for (const c of text) {
    if (c === '"') quoted = !quoted;
    if (c === '\n' && !quoted) ++records;
  }
  return records;
}

// C++ writes 1e+05 where JavaScript writes 100000: every cell that is a number in one spelling.
const numbers = (text) => text.replace(/[^,\r\n]+/g, (cell) => (Number.isNaN(Number(cell)) ? cell : String(Number(cell))));

// What a click downloads. Chromium passes over the eleventh of a page: it is asked once more.
async function downloadOf(page, button) {
  for (const last of [false, true]) {
    const [download] = await Promise.all([
      page.waitForEvent('download', { timeout: 10000 }).catch((error) => { if (last) throw error; }), button.click()]);
    if (download) return download;
  }
}

async function checkDownloads(page) {
  const ids = await page.$$eval('figure[data-stem]', (all) => all.map((figure) => figure.id));
  const wrong = [];
  for (const id of ids) {
    const figure = page.locator(`[id="${id}"]`);
    const button = figure.locator('.tools button[data-action=CSV]');
    if (await button.count() === 0) continue;
    const download = await downloadOf(page, button);
    const text = readFileSync(await download.path(), 'utf8');
    const rows = Number(await figure.locator('script.table').getAttribute('data-rows'));
    if (csvRecords(text) !== rows + 1) wrong.push(`${id} has ${csvRecords(text) - 1} of ${rows} rows`);
    const expected = tables && join(tables, download.suggestedFilename());
    if (expected && existsSync(expected) && numbers(readFileSync(expected, 'utf8')) !== numbers(text)) {
      wrong.push(`${expected} differs`);
    }
  }
  check('every CSV download holds all rows and the numbers given', wrong.length === 0, wrong.join(', '));
  for (const kind of ['SVG', 'PNG', 'JSON']) {
    const download = await downloadOf(page, page.locator(`.tools button[data-action=${kind}]`).first());
    check(`a figure downloads as ${kind}`, statSync(await download.path()).size > 500);
  }
}

// Of the first listing, when there is one.
async function checkListing(page) {
  const listing = page.locator('.listing').first();
  if (await listing.count() === 0) return;
  const classes = await listing.locator('thead th').evaluateAll((all) => all.map((heading) => heading.className));
  const [words, numbers] = [classes.indexOf(''), classes.indexOf('number')];
  const column = (i) => listing.locator(`tbody tr td:nth-child(${i + 1})`).allTextContents();
  const headings = listing.locator('thead button');
  const names = [...await column(words)].sort();
  await headings.nth(words).click();
  check('a listing is sorted by words', (await column(words)).join() === names.join());
  await headings.nth(words).click();
  check('once more turns it round', (await column(words)).join() === names.reverse().join());
  await headings.nth(numbers).click();
  const values = await listing.locator(`tbody tr td:nth-child(${numbers + 1})`)
    .evaluateAll((all) => all.map((cell) => Number(cell.dataset.value)));
  const known = values.filter((value) => !Number.isNaN(value));
  check('a listing is sorted by numbers, the largest first and none last',
    known.every((value, i) => i === 0 || value <= known[i - 1]) && values.slice(0, known.length).every((value) => !Number.isNaN(value)));
  const download = await downloadOf(page, listing.locator('button[data-action=rows]'));
  const text = readFileSync(await download.path(), 'utf8');
  check('a listing downloads as it stands', csvRecords(text) === values.length + 1, text);
}

async function checkKeyboard(page) {
  const wanted = await page.$$eval('.tools button', (all) => all.length);
  const reached = new Set();
  const limit = 40 + await page.$$eval('a, button, summary', (all) => all.length);
  await page.evaluate(() => { document.activeElement?.blur(); scrollTo(0, 0); });
  for (let i = 0; i < limit && reached.size < wanted; ++i) {
    await page.keyboard.press('Tab');
    const label = await page.evaluate(() => {
      const element = document.activeElement;
      const all = [...document.querySelectorAll('.tools button')];
      return all.indexOf(element);
    });
    if (label >= 0) reached.add(label);
  }
  check('the Tab key reaches every control of every figure', reached.size === wanted, `${reached.size} of ${wanted}`);
}

async function checkPrint(page) {
  await page.emulateMedia({ media: 'print' });
  const hidden = await page.evaluate(() => getComputedStyle(document.querySelector('nav')).display === 'none'
    && getComputedStyle(document.querySelector('.tools')).display === 'none');
  check('print hides the side bar and the buttons', hidden);
  await page.evaluate(() => dispatchEvent(new Event('beforeprint')));
  const inks = await page.evaluate(() => getComputedStyle(document.documentElement).getPropertyValue('--paper').trim());
  check('print is on white paper from the dark page too', inks === '#ffffff', inks);
  every('print: figures are drawn in the light colours', await figureFacts(page), (fact) => fact.text !== '#e3e6ea');
  if (screenshots) {
    await eachSection(page, (id, part) => page.pdf({ path: numbered('print', part, 'pdf'), preferCSSPageSize: true, format: 'A4' }));
  }
  await page.evaluate(() => dispatchEvent(new Event('afterprint')));
  await page.emulateMedia({ media: 'screen' });
}

const numbered = (name, number, type) => join(screenshots, `${name}-${String(number).padStart(2, '0')}.${type}`);

// One section after the other, with the others hidden: Chromium lays out and paints a page of a hundred figures whole,
// for a picture of one of them too.
async function eachSection(page, act) {
  const ids = await page.$$eval('main > section', (all) => all.map((section) => section.id));
  const show = (shown) => page.evaluate((wanted) => {
    for (const section of document.querySelectorAll('main > section')) section.hidden = !wanted.includes(section.id);
  }, shown);
  for (const [i, id] of ids.entries()) {
    await show([id]);
    await act(id, i + 1);
  }
  await show(ids);
}

// A picture of the whole page, in parts: Chromium paints a picture at one go, and loses its process over one of a
// hundred figures.
const kPart = 4000;
async function shootPage(page, name) {
  if (!screenshots) return;
  const window = page.viewportSize();
  await page.setViewportSize({ width: window.width, height: kPart });
  const height = await page.evaluate(() => document.documentElement.scrollHeight);
  for (let top = 0, part = 1; top < height; top += kPart, ++part) {
    await page.evaluate((y) => scrollTo({ top: y, behavior: 'instant' }), top);
    await page.screenshot({ path: numbered(name, part, 'png') });
  }
  await page.setViewportSize(window);
  await page.evaluate(() => scrollTo({ top: 0, behavior: 'instant' }));
}

async function shootFigures(page, name) {
  if (!screenshots) return;
  let number = 0;
  await eachSection(page, async (id) => {
    for (const figure of await page.$$(`[id="${id}"] figure[data-stem]`)) {
      await figure.screenshot({ path: numbered(`${name}-figure`, ++number, 'png') });
    }
  });
}

check(`the report is under ${kMostBytes / 1e6} MB`, statSync(report).size < kMostBytes, `${statSync(report).size} bytes`);

const light = await open({ viewport: { width: 1280, height: 900 }, colorScheme: 'light' });
const lightFacts = await checkFigures(light, '1280 px');
check('no text became a script', await light.evaluate(() => window.hostile === undefined));
check('the claims, or the remarks, stand at the top', await light.evaluate(() =>
  Boolean(document.querySelector('#scoreboard .headline, #scoreboard .remarks')?.textContent) &&
  document.querySelector('#scoreboard').getBoundingClientRect().top + scrollY < 900));
const ids = await light.$$eval('[id]', (all) => all.map((element) => element.id));
check('no id stands twice', new Set(ids).size === ids.length, ids.filter((id, i) => ids.indexOf(id) !== i).join(', '));
const dead = await light.$$eval('a[href^="#"]', (all) => all.map((link) => link.hash.slice(1)).filter((id) => !document.getElementById(id)));
check('every link inside the page has its target', dead.length === 0, dead.join(', '));
await checkPlaces(light, '1280 px');
await shootPage(light, 'light');
await shootFigures(light, 'light');
await checkKeyboard(light);
await checkDownloads(light);
await checkListing(light);

// The same page changes to dark while it is open.
const inksBefore = lightFacts.map((fact) => fact.text).join();
await light.emulateMedia({ colorScheme: 'dark' });
await light.waitForFunction((before) => [...document.querySelectorAll('figure[data-stem] .plot')]
  .map((plot) => plot.querySelector('.role-axis-title text, .role-axis-label text')?.getAttribute('fill') ?? '')
  .every((ink, i) => ink === '' || ink !== before.split(',')[i]), inksBefore, { timeout: 60000 })
  .then(() => check('a change to dark draws every figure anew', true),
        () => check('a change to dark draws every figure anew', false));
await checkFigures(light, 'dark');
await shootPage(light, 'dark');
await shootFigures(light, 'dark');
await checkPrint(light);

const phone = await open({ viewport: { width: 400, height: 800 }, colorScheme: 'light' });
await checkFigures(phone, '400 px');
check('400 px: the contents are folded', await phone.evaluate(() => !document.querySelector('nav details').open));
await checkPlaces(phone, '400 px');
await shootPage(phone, 'phone');
await shootFigures(phone, 'phone');

check('the console stays silent', complaints.length === 0, [...new Set(complaints)].slice(0, 8).join(' | '));
check('nothing is requested', requests.length === 0, requests.slice(0, 5).join(' '));
await browser.close();
stopWithVerdict('the report keeps its promises');
