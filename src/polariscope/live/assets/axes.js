// The axes of a chart: round numbers, and from what to what. All charts share their stretch of steps, and what the pointer
// points at.
const kMargin = { left: 54, right: 14, top: 10, bottom: 24 };
const view = { from: null, to: null, logSteps: false, smoothing: 0, cursor: null, drag: null, pointed: null };

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
