/** Live curves over training steps, drawn by uPlot. */

import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { inNextFrame } from "./dom.ts";

export interface Curve {
  readonly label: string;
  /** A custom property of style.css that holds the colour. */
  readonly color: string;
  readonly width: number;
  /** Draw points and connect them, however far apart they are. */
  readonly sparse?: boolean;
}

export interface ChartOptions {
  readonly curves: readonly Curve[];
  readonly format: (value: number) => string;
  /** The vertical range, where it does not follow the data. */
  readonly range?: readonly [number, number];
  /** Where the pointer is, or the last step when it is elsewhere: one value for each curve. */
  readonly readout: (step: number | undefined, values: readonly (number | null)[]) => void;
}

type Values = (number | null)[];

const colorOf = (name: string): string => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const FONT = '12px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif';

export class Chart {
  readonly #place: HTMLElement;
  readonly #options: ChartOptions;
  #steps: number[] = [];
  #values: Values[];
  #plot: uPlot | undefined;
  readonly #refresh = inNextFrame(() => this.#draw());

  constructor(place: HTMLElement, options: ChartOptions) {
    this.#place = place;
    this.#options = options;
    this.#values = options.curves.map(() => []);
    new ResizeObserver(() => this.#resize()).observe(place);
    // Colours are read when the plot is made.
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#rebuild());
    this.#rebuild();
  }

  clear(): void {
    this.#steps = [];
    this.#values = this.#values.map(() => []);
    this.#refresh();
  }

  /** Puts a value of a curve at a step; steps may come again and need not come in order. */
  add(curve: number, step: number, value: number): void {
    const steps = this.#steps;
    let at = steps.length;
    while (at > 0 && steps[at - 1]! >= step) at--;
    if (steps[at] !== step) {
      steps.splice(at, 0, step);
      for (const values of this.#values) values.splice(at, 0, null);
    }
    this.#values[curve]![at] = value;
    this.#refresh();
  }

  #draw(): void {
    this.#plot?.setData([this.#steps, ...this.#values]);
    if (this.#plot?.cursor.idx == null) this.#tellLast();
  }

  /** The newest value of each curve. */
  #tellLast(): void {
    const last = this.#values.map((values) => values.findLast((v) => v !== null) ?? null);
    this.#options.readout(undefined, last);
  }

  #size(): { width: number; height: number } {
    return { width: Math.max(120, this.#place.clientWidth), height: Math.max(120, this.#place.clientHeight) };
  }
  #resize(): void {
    this.#plot?.setSize(this.#size());
  }

  #rebuild(): void {
    this.#plot?.destroy();
    const { curves, format, range, readout } = this.#options;
    const axis = {
      stroke: colorOf("--muted"),
      font: FONT,
      grid: { stroke: colorOf("--grid"), width: 1 },
      ticks: { show: false },
    };
    const options: uPlot.Options = {
      ...this.#size(),
      padding: [8, 10, 0, 0],
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 7 } },
      scales: {
        x: { time: false, range: (_plot, from, to) => [Math.min(from ?? 0, 1), Math.max(to ?? 0, 10)] },
        y: { range: (_plot, from, to) => verticalRange(from, to, range) },
      },
      axes: [
        { ...axis, grid: { show: false }, size: 28, space: 60, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000] },
        { ...axis, size: 52, space: 36, values: (_plot, ticks) => ticks.map(format) },
      ],
      series: [
        {},
        ...curves.map(({ label, color, width, sparse }) => ({
          label,
          stroke: colorOf(color),
          width,
          spanGaps: true,
          points: { show: sparse === true, size: 6, fill: colorOf("--surface") },
        })),
      ],
      hooks: {
        setCursor: [
          (plot) => {
            const { idx } = plot.cursor;
            if (idx == null) this.#tellLast();
            else
              readout(
                this.#steps[idx],
                this.#values.map((values) => values[idx] ?? null),
              );
          },
        ],
      },
    };
    this.#plot = new uPlot(options, [this.#steps, ...this.#values], this.#place);
  }
}

/** The fixed range, or one that shows all values with a little air, also when there are none yet. */
function verticalRange(from: number | null, to: number | null, fixed: readonly [number, number] | undefined): [number, number] {
  if (fixed !== undefined) return [...fixed];
  if (from === null || to === null) return [0, 1];
  const air = Math.max((to - from) * 0.06, 1e-3);
  return [Math.max(0, from - air), to + air];
}

/** A running mean, of all values at first and then mostly of the last ones: what a noisy curve is about. */
export class Smooth {
  #mean = 0;
  #count = 0;
  constructor(private readonly window = 8) {}

  next(value: number): number {
    this.#count = Math.min(this.#count + 1, this.window);
    this.#mean += (value - this.#mean) / this.#count;
    return this.#mean;
  }
}
