const figures = new Map(
  [...document.querySelectorAll('figure[data-stem]')].map((element) => [element.id, new Figure(element)]));

// Measured before anything is written: each change of a height would have the page laid out anew.
const widths = [...figures.values()].map((figure) => [figure, Math.floor(figure.plot.clientWidth)]);
for (const [figure, width] of widths) figure.reserve(width);

// Figures near the window are drawn first, the others while the reader reads: a printout finds them
// all, and opening the page waits for none. One at a time, so that scrolling stays smooth.
const wanted = new Set();
let drawing = false;
const whenIdle = window.requestIdleCallback ?? ((work) => setTimeout(work, 30));

async function drawWanted() {
  if (drawing) return;
  drawing = true;
  while (wanted.size > 0) {
    const [figure] = wanted;
    wanted.delete(figure);
    if (figure.element.dataset.state === 'waiting') await figure.draw();
  }
  drawing = false;
  const next = [...figures.values()].find((figure) => figure.element.dataset.state === 'waiting');
  if (next) {
    whenIdle(() => {
      wanted.add(next);
      drawWanted();
    });
  }
}

const nearWindow = new IntersectionObserver((entries) => {
  for (const entry of entries) if (entry.isIntersecting) wanted.add(figures.get(entry.target.id));
  drawWanted();
}, { rootMargin: '400px' });
for (const figure of figures.values()) nearWindow.observe(figure.element);

async function redrawAll() {
  for (const figure of figures.values()) await figure.redraw();
}
const dark = matchMedia('(prefers-color-scheme: dark)');
dark.addEventListener('change', redrawAll);

let settled;
addEventListener('resize', () => {
  clearTimeout(settled);
  settled = setTimeout(async () => {
    for (const figure of figures.values()) {
      const width = Math.floor(figure.plot.clientWidth);
      if (Math.abs(width - figure.width) <= 1) continue;
      figure.reserve(width);
      await figure.redraw();
    }
  }, 150);
});

// The style sheet's print rules give the light colours; they are read through a class, because the
// print medium itself is not on yet when the browser says that it is about to print.
function swapForPrint(printing) {
  document.documentElement.classList.toggle('printing', printing);
  // On paper nothing can be unfolded: criteria and configurations are printed open.
  for (const fold of document.querySelectorAll('main section details')) {
    if (printing) fold.dataset.folded = fold.open ? '' : 'yes';
    fold.open = printing || fold.dataset.folded === '';
  }
  const colours = paperColours();
  for (const figure of figures.values()) if (figure.view) figure.swap(colours);
}
addEventListener('beforeprint', () => swapForPrint(true));
addEventListener('afterprint', () => swapForPrint(false));

async function copyText(button) {
  const code = button.parentElement.querySelector('code');
  try {
    await navigator.clipboard.writeText(code.textContent);
  } catch {
    // Some browsers keep the clipboard from files: leave the text selected for the reader's own copy.
    getSelection().selectAllChildren(code);
    if (!document.execCommand('copy')) return;
  }
  button.textContent = 'copied';
  setTimeout(() => { button.textContent = 'copy'; }, 1500);
}

document.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-action]');
  if (!button) return;
  if (button.dataset.action === 'copy') {
    copyText(button);
  } else if (button.dataset.action === 'sort') {
    sortListing(button.closest('th'));
  } else if (button.dataset.action === 'rows') {
    saveListing(button.closest('.listing'));
  } else {
    const id = button.dataset.figure ?? button.closest('figure').id;
    figures.get(id).download(button.dataset.action);
  }
});

// The table of contents: folded where it would push the page down, and marking the section in view.
const narrow = matchMedia('(max-width: 64rem)');
const contents = document.querySelector('nav details');
const foldContents = () => { contents.open = !narrow.matches; };
narrow.addEventListener('change', foldContents);
foldContents();

const links = new Map([...document.querySelectorAll('nav a')].map((link) => [link.hash.slice(1), link]));
const inView = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (!entry.isIntersecting) continue;
    for (const link of links.values()) link.removeAttribute('aria-current');
    links.get(entry.target.id)?.setAttribute('aria-current', 'location');
  }
}, { rootMargin: '-10% 0px -80% 0px' });
for (const section of document.querySelectorAll('main section[id]')) inView.observe(section);
