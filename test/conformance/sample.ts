/** A part of a corpus: the same cases every time, some of every unit. */

/** Accepts about one case in `share`, and the first of each unit. */
export function sampleOf(share: number): (unit: string, id: string) => boolean {
  const seen = new Set<string>();
  return (unit, id) => {
    const first = !seen.has(unit);
    seen.add(unit);
    return first || hash(`${unit} ${id}`) % share === 0;
  };
}

/** FNV-1a. */
function hash(text: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  return (h ^ (h >>> 15)) >>> 0; // its low bits alone are poor
}
