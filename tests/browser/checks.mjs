// What the checks of pages share: a headless Chromium, sentences that hold or fail, and the exit code. 77 where Chromium
// or Playwright is absent.
import { existsSync } from 'node:fs';

export function stop(code, sentence) {
  console.log(sentence);
  process.exit(code);
}

const kSkipped = 77;
const browserPath = process.env.CHROMIUM ?? '/usr/bin/chromium';
if (!existsSync(browserPath)) stop(kSkipped, `skipped: no Chromium at ${browserPath} (set CHROMIUM to its path)`);
const playwright = await import('playwright-core')
  .catch(() => stop(kSkipped, 'skipped: playwright-core is not installed (run ./dev setup)'));

export const launch = () => playwright.chromium.launch({
  executablePath: browserPath,
  args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update',
         '--disable-sync', '--no-first-run'],
});

let failures = 0;
export function check(sentence, holds, detail = '') {
  if (!holds) ++failures;
  console.log(`${holds ? 'ok  ' : 'FAIL'} ${sentence}${holds || !detail ? '' : `: ${detail}`}`);
}

export function stopWithVerdict(praise) {
  stop(failures === 0 ? 0 : 1, failures === 0 ? praise : `${failures} checks failed`);
}
