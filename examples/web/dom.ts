/** Small helpers for the page: typed elements, numbers as text. */

/** The element with this id, of this class; its absence is a mistake in index.html. */
export function byId<T extends Element>(id: string, kind: abstract new (...args: never[]) => T): T {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`index.html has no ${kind.name} with the id "${id}"`);
  return found;
}

/** A new element with a class and text. */
export function create<K extends keyof HTMLElementTagNameMap>(tag: K, className = "", text = ""): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
}

const grouped = new Intl.NumberFormat("en");
export const whole = (n: number): string => grouped.format(Math.round(n));
export const percent = (share: number): string => `${(share * 100).toFixed(1)} %`;
/** Three or four figures that matter. */
export function decimal(n: number): string {
  if (!Number.isFinite(n)) return String(n);
  const size = Math.abs(n);
  return n.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 3 : 4);
}
export function speed(perSecond: number): string {
  return perSecond >= 100 ? whole(perSecond) : perSecond.toFixed(perSecond >= 10 ? 1 : 2);
}
export function duration(seconds: number): string {
  if (!Number.isFinite(seconds)) return "–";
  const s = Math.max(0, Math.round(seconds));
  return s < 60 ? `${s} s` : `${Math.floor(s / 60)} min ${String(s % 60).padStart(2, "0")} s`;
}

/** Calls `f` in the next frame, once for however many requests until then. */
export function inNextFrame(f: () => void): () => void {
  let waiting = false;
  return () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      f();
    });
  };
}
