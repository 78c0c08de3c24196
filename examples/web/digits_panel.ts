/** The panel to write a digit in, and what the network makes of it. */

import { byId } from "./dom.ts";
import { Bars, DrawPad, paintImage } from "./draw.ts";
import type { FromWorker, ToWorker } from "./protocol.ts";

export class DigitsPanel {
  readonly #post: (message: ToWorker) => void;
  readonly #pad: DrawPad;
  readonly #bars = new Bars(byId("bars", HTMLOListElement));
  readonly #seen = byId("seen", HTMLCanvasElement);
  readonly #guess = byId("guess", HTMLElement);
  readonly #truth = byId("truth", HTMLElement);
  #image: Float32Array | null = null;
  #serial = 0;

  constructor(post: (message: ToWorker) => void) {
    this.#post = post;
    this.#pad = new DrawPad(byId("pad", HTMLCanvasElement), (image) => {
      this.#image = image;
      this.#truth.textContent = "";
      this.#redraw();
      this.refresh();
    });
    byId("clear", HTMLButtonElement).addEventListener("click", () => this.#pad.clear());
    byId("example", HTMLButtonElement).addEventListener("click", () => post({ type: "example" }));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      this.#pad.redraw();
      this.#redraw();
    });
  }

  /** Asks the network again: the drawing or the network has changed. */
  refresh(): void {
    this.#serial++;
    if (this.#image !== null) this.#post({ type: "classify", pixels: this.#image, serial: this.#serial });
    else this.#show(null);
  }

  showExample({ pixels, label }: Extract<FromWorker, { type: "example" }>): void {
    this.#pad.show(pixels);
    this.#truth.textContent = `it is a ${label}`;
  }

  showProbabilities({ values, serial, trained }: Extract<FromWorker, { type: "probabilities" }>): void {
    if (this.#image === null || serial < this.#serial - 8) return; // of a drawing that is gone
    this.#show(values);
    byId("digits-note", HTMLElement).textContent = trained
      ? "With the mouse, a pen or a finger; the network guesses while you write."
      : "The network has not learnt anything yet: these are the guesses of random weights. Train it first.";
  }

  #show(values: readonly number[] | null): void {
    this.#bars.show(values);
    this.#guess.textContent = values === null ? "–" : String(values.indexOf(Math.max(...values)));
  }

  #redraw(): void {
    byId("pad-hint", HTMLElement).hidden = this.#image !== null;
    const context = this.#seen.getContext("2d")!;
    const { width } = this.#seen;
    context.clearRect(0, 0, width, width);
    if (this.#image !== null) paintImage(context, this.#image, width, getComputedStyle(this.#seen).color);
  }
}
