/** A canvas to write a digit on, with mouse, pen or finger. */

import { create } from "./dom.ts";
import { digitImage, type Point, type Stroke } from "./digit_image.ts";

/** Of the canvas' own units, whatever its size on the screen. */
const UNITS = 280;
const PEN = 22;

export class DrawPad {
  readonly #canvas: HTMLCanvasElement;
  readonly #context: CanvasRenderingContext2D;
  readonly #changed: (image: Float32Array | null) => void;
  #strokes: Point[][] = [];
  #pointer: number | undefined;
  /** An image shown instead of a drawing. */
  #shown: Float32Array | undefined;

  /** `changed` gets the image [8, 8] of what was drawn so far, or null when the pad was cleared. */
  constructor(canvas: HTMLCanvasElement, changed: (image: Float32Array | null) => void) {
    this.#canvas = canvas;
    this.#context = canvas.getContext("2d")!;
    this.#changed = changed;
    canvas.addEventListener("pointerdown", (event) => this.#down(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    for (const end of ["pointerup", "pointercancel"] as const) {
      canvas.addEventListener(end, (event) => event.pointerId === this.#pointer && (this.#pointer = undefined));
    }
    new ResizeObserver(() => this.redraw()).observe(canvas);
  }

  clear(): void {
    this.#strokes = [];
    this.#shown = undefined;
    this.redraw();
    this.#changed(null);
  }

  /** Shows an image [8, 8] in place of a drawing. */
  show(image: Float32Array): void {
    this.#strokes = [];
    this.#shown = image;
    this.redraw();
    this.#changed(image);
  }

  redraw(): void {
    const canvas = this.#canvas;
    const context = this.#context;
    const side = Math.max(1, Math.round(canvas.clientWidth * devicePixelRatio));
    if (canvas.width !== side) canvas.width = canvas.height = side;
    const ink = getComputedStyle(canvas).color;
    context.setTransform(side / UNITS, 0, 0, side / UNITS, 0, 0);
    context.clearRect(0, 0, UNITS, UNITS);
    if (this.#shown !== undefined) paintImage(context, this.#shown, UNITS, ink);
    context.strokeStyle = context.fillStyle = ink;
    context.lineWidth = PEN;
    context.lineCap = context.lineJoin = "round";
    for (const stroke of this.#strokes) paintStroke(context, stroke);
  }

  #down(event: PointerEvent): void {
    if (event.button !== 0 || this.#pointer !== undefined) return;
    event.preventDefault();
    this.#pointer = event.pointerId;
    this.#canvas.setPointerCapture(event.pointerId);
    this.#shown = undefined;
    this.#strokes.push([]);
    this.#add([event]);
  }

  #move(event: PointerEvent): void {
    if (event.pointerId !== this.#pointer) return;
    const steps = event.getCoalescedEvents?.() ?? [];
    this.#add(steps.length > 0 ? steps : [event]);
  }

  #add(events: readonly PointerEvent[]): void {
    const box = this.#canvas.getBoundingClientRect();
    const stroke = this.#strokes.at(-1)!;
    for (const { clientX, clientY } of events) {
      const point = { x: ((clientX - box.left) / box.width) * UNITS, y: ((clientY - box.top) / box.height) * UNITS };
      const last = stroke.at(-1);
      if (last === undefined || Math.hypot(point.x - last.x, point.y - last.y) >= 3) stroke.push(point);
    }
    this.redraw();
    this.#changed(digitImage(this.#strokes));
  }
}

function paintStroke(context: CanvasRenderingContext2D, stroke: Stroke): void {
  context.beginPath();
  const [first, ...rest] = stroke;
  if (first === undefined) return;
  context.moveTo(first.x, first.y);
  if (rest.length === 0) context.lineTo(first.x, first.y);
  // Curves through the middles: smooth, though the pointer reports corners.
  rest.forEach((point, i) => {
    const next = rest[i + 1];
    if (next === undefined) context.lineTo(point.x, point.y);
    else context.quadraticCurveTo(point.x, point.y, (point.x + next.x) / 2, (point.y + next.y) / 2);
  });
  context.stroke();
}

/** Paints an image [8, 8] of 0..1 as squares of more or less ink. */
export function paintImage(context: CanvasRenderingContext2D, image: Float32Array, side: number, ink: string): void {
  const cell = side / 8;
  context.fillStyle = ink;
  image.forEach((value, i) => {
    context.globalAlpha = value;
    context.fillRect((i % 8) * cell, Math.floor(i / 8) * cell, cell, cell);
  });
  context.globalAlpha = 1;
}

/** The ten bars of probabilities. */
export class Bars {
  readonly #rows: { row: HTMLElement; bar: HTMLElement; value: HTMLElement }[];

  constructor(list: HTMLElement) {
    this.#rows = Array.from({ length: 10 }, (_, digit) => {
      const row = create("li", "bar-row");
      const track = create("span", "bar-track");
      const bar = create("span", "bar");
      const value = create("span", "bar-value", "–");
      track.append(bar);
      row.append(create("span", "bar-digit", String(digit)), track, value);
      list.append(row);
      return { row, bar, value };
    });
  }

  /** `null` empties them. */
  show(values: readonly number[] | null): void {
    const best = values === null ? -1 : values.indexOf(Math.max(...values));
    this.#rows.forEach(({ row, bar, value }, digit) => {
      const share = values?.[digit];
      bar.style.transform = `scaleX(${share ?? 0})`;
      value.textContent = share === undefined ? "–" : `${(share * 100).toFixed(1)} %`;
      row.classList.toggle("best", digit === best);
    });
  }
}
