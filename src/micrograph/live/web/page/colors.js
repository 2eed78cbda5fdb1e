// Colours that everyone can tell apart (Okabe and Ito, doi:10.1038/nmeth.1618), and colour scales of images.

export const LINES = {
  light: ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8A8A8A"],
  dark: ["#56B4E9", "#E69F00", "#2BC79B", "#CC79A7", "#F0E442", "#E8743B", "#FFFFFF", "#A0A0A0"],
};

// Viridis as polynomials of degree six in 0..1, one for each of red, green, blue (fit by Matt Zucker, public domain).
const VIRIDIS = [
  [0.2777273272234177, 0.1050930431085774, -0.3308618287255563, -4.634230498983486, 6.228269936347081, 4.776384997670288, -5.435455855934631],
  [0.005407344544966578, 1.404613529898575, 0.214847559468213, -5.799100973351585, 14.17993336680509, -13.74514537774601, 4.645852612178535],
  [0.3340998053353061, 1.384590162594685, 0.09509516302823659, -19.33244095627987, 56.69055260068105, -65.35303263337234, 26.3124352495832],
];

function entry(scale, k) {
  const t = k / 255;
  if (scale === "viridis") {
    return VIRIDIS.map((c) => Math.min(1, Math.max(0, c.reduceRight((sum, part) => sum * t + part, 0))) * 255);
  }
  const grey = scale === "inverted" ? 255 - k : k;
  return [grey, grey, grey];
}

const kept = new Map();

/** Return 256 colours as 32-bit RGBA (little endian). */
export function table(scale) {
  if (!kept.has(scale)) {
    const values = new Uint32Array(256);
    for (let k = 0; k < 256; k++) {
      const [r, g, b] = entry(scale, k).map(Math.round);
      values[k] = (255 << 24) | (b << 16) | (g << 8) | r;
    }
    kept.set(scale, values);
  }
  return kept.get(scale);
}

export function css(scale, k) {
  const [r, g, b] = entry(scale, k).map(Math.round);
  return `rgb(${r},${g},${b})`;
}

export const isDark = () => getComputedStyle(document.documentElement).colorScheme === "dark";
export const lines = () => (isDark() ? LINES.dark : LINES.light);
