// Runs inside a report before anything of it is parsed; looks at it once it is drawn.
addEventListener('load', () => {
  const texts = [];
  for (const [figure, svg] of document.querySelectorAll('svg').entries()) {
    const box = svg.getBoundingClientRect();
    for (const text of svg.querySelectorAll('text')) {
      const { left, right, top, bottom } = text.getBoundingClientRect();
      const outside = left < box.left - 1 || right > box.right + 1 ||
        top < box.top - 1 || bottom > box.bottom + 1;
      texts.push({ figure, said: text.firstChild?.data ?? '', left, right, top, bottom, outside });
    }
  }
  const overlaps = [];
  texts.sort((a, b) => a.figure - b.figure || a.top - b.top);
  for (let i = 0; i < texts.length; i++) {
    const a = texts[i];
    for (let j = i + 1; j < texts.length; j++) {
      const b = texts[j];
      if (b.figure !== a.figure || b.top > a.bottom) break;
      const across = Math.min(a.right, b.right) - Math.max(a.left, b.left);
      const down = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
      if (across > 1 && down > 2) overlaps.push(`${a.said} | ${b.said}`);
    }
  }
  const luminance = (colour) => {
    const parts = colour.match(/[\d.]+/g).slice(0, 3).map((part) => {
      const c = part / 255;
      return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
  };
  const paper = luminance(getComputedStyle(document.body).backgroundColor);
  const faint = [];
  const inks = [['p, h1, h2, td, th, dt, dd', 'color'], ['svg text', 'fill']];
  for (const [selector, property] of inks) {
    for (const element of document.querySelectorAll(selector)) {
      const ink = luminance(getComputedStyle(element)[property]);
      const ratio = (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
      if (ratio < 4.5) faint.push(`${ratio.toFixed(1)}: ${element.textContent.slice(0, 40)}`);
    }
  }
  const seen = {
    dark: matchMedia('(prefers-color-scheme: dark)').matches,
    width: innerWidth,
    spills: document.documentElement.scrollWidth > innerWidth,
    figures: document.querySelectorAll('svg').length,
    texts: texts.length,
    outside: texts.filter((text) => text.outside).map((text) => text.said),
    overlaps: overlaps.slice(0, 20),
    faint: faint.slice(0, 20),
    scripts: document.scripts.length,
    images: document.images.length,
    resources: performance.getEntriesByType('resource').map((entry) => entry.name),
  };
  document.documentElement.textContent = `@@${encodeURIComponent(JSON.stringify(seen))}@@`;
});
